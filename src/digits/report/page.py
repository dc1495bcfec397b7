"""Renders the page: all sections in one HTML file, which needs no other file."""

from jinja2 import Environment, PackageLoader

from digits.report.gather import Content
from digits.report.sections import data, ensemble, environment, errors, recipes, runs, status, training, tuning

_SECTIONS = (status, runs, training, errors, tuning, ensemble, recipes, data)  # in their order; environment is last


def render(content: Content, commit: str, made: str) -> str:
    """The page's HTML; commit: of the project; made: the time, as it is shown."""
    templates = Environment(loader=PackageLoader("digits.report", "."), autoescape=True, trim_blocks=True)
    return templates.get_template("page.html").render(
        title=content.params.competition.slug,
        practice=bool(content.data and content.data.practice),
        sections=[*(module.section(content) for module in _SECTIONS), environment.section(content, commit)],
        made=made,
    )
