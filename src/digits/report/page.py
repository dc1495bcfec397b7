"""Renders a page: all sections in one HTML file, which needs no other file."""

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader

from digits.report.chart import library
from digits.report.explore import explore
from digits.report.gather import Content
from digits.report.layout import Section
from digits.report.sections import data, ensemble, environment, errors, recipes, runs, status, training, tuning

_SECTIONS = (status, runs, training, errors, tuning, ensemble, recipes, data)  # in their order; environment is last


def render(content: Content, commit: str, made: str) -> str:
    """The page's HTML; commit: of the project; made: the time, as it is shown."""
    sections = [*(module.section(content) for module in _SECTIONS), environment.section(content, commit)]
    practice = bool(content.data and content.data.practice)
    return page(content.params.competition.slug, sections, practice, "make report", made, explore(content))


def page(
    title: str,
    sections: Sequence[Section],
    practice: bool,
    command: str,
    made: str,
    explored: dict[str, Any] | None = None,
) -> str:
    """The HTML of some sections; practice: whether they are about practice images. command, made: by what, when.

    explored: what its script reads, see `explore`.
    """
    templates = Environment(loader=PackageLoader("digits.report", "."), autoescape=True, trim_blocks=True)
    templates.globals["library"] = library
    templates.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return templates.get_template("page.html").render(
        title=title, practice=practice, sections=sections, command=command, made=made, explored=explored
    )
