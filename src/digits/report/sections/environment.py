"""The machine, code and libraries that made the page, and the commands that reproduce it."""

import platform

from digits.common.code_version import library_version
from digits.common.host import processor
from digits.report.gather import Content
from digits.report.layout import Section, Table

_LIBRARIES = ("tensorflow", "keras", "scikit-learn", "numpy", "pandas", "optuna", "kaggle")


def section(content: Content, commit: str) -> Section:
    """A table of versions, and commands; commit: of the project, "" if it is not known."""
    result = Section("environment", "How can I reproduce this?")
    items = {
        "Python": platform.python_version(),
        "system": platform.system(),
        "processor": processor(),
        "commit": commit or "unknown",
        "seed": content.params.train.seed,
        **{name: library_version(name) for name in _LIBRARIES},
    }
    result.tables.append(Table("Machine and versions", {"item": ("", [*items]), "value": ("", [*items.values()])}))
    slug = content.params.competition.slug
    result.code = f"make setup\nmake submit DATA=path/to/{slug}.zip\nmake report"
    return result
