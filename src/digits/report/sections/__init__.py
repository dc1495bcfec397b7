"""The sections of the page, in their order: each module answers one question and draws its charts."""

from digits.report.gather import Content
from digits.report.layout import Section
from digits.report.sections import data, ensemble, environment, errors, recipes, runs, status, training, tuning

_MODULES = (status, runs, training, errors, tuning, ensemble, recipes, data)


def sections(content: Content, commit: str) -> list[Section]:
    """All sections; commit: of the project."""
    return [*(module.section(content) for module in _MODULES), environment.section(content, commit)]
