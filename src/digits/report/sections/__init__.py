"""The sections of the page: one module each, with the charts that it shows, in the order of their questions."""

from digits.report.gather import Content
from digits.report.layout import Section
from digits.report.sections import data, ensemble, environment, errors, recipes, runs, status, training, tuning

_MODULES = (status, runs, training, errors, tuning, ensemble, recipes, data)


def sections(content: Content, commit: str) -> list[Section]:
    """All sections; commit: of the project."""
    return [*(module.section(content) for module in _MODULES), environment.section(content, commit)]
