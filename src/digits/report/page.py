"""Renders the page: all sections in one HTML file, which needs no other file."""

from jinja2 import Environment, PackageLoader

from digits.report.gather import Content
from digits.report.sections import sections


def render(content: Content, commit: str, made: str) -> str:
    """The page's HTML; commit: of the project; made: the time, as it is shown."""
    environment = Environment(loader=PackageLoader("digits.report", "."), autoescape=True, trim_blocks=True)
    template = environment.get_template("page.html")
    return template.render(
        title=content.params.competition.slug,
        practice=bool(content.data and content.data.practice),
        sections=sections(content, commit),
        made=made,
    )
