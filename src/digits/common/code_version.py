"""The version of the code that computes something, as one hash that changes when its result may change.

It covers the named modules, everything of this package that they import, and the versions of the numerical libraries
among their imports. Comments, docstrings and layout do not count.
"""

import ast
import importlib.util
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

from digits.common.files import fingerprint

_PACKAGE = "digits"
_PLUMBING = (
    "digits.config",
    "digits.common.errors",
    "digits.common.files",
    "digits.common.code_version",
)  # they decide no number
_GIT_SECONDS = 10.0  # it may take; without it the commit is not known
_LIBRARIES = {
    "keras": "keras",
    "numpy": "numpy",
    "optuna": "optuna",
    "pandas": "pandas",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "tensorflow": "tensorflow",
}


@cache
def code_version(*modules: str) -> str:
    """Hash of the code that `modules`, such as "digits.models.cnn", run."""
    sources: dict[str, str] = {}
    libraries: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in sources or name.startswith(_PLUMBING):
            continue
        tree = _tree(name)
        sources[name] = ast.dump(tree)
        imported = set(_imports(tree))
        waiting += sorted(module for module in imported if module.split(".")[0] == _PACKAGE)
        libraries |= {module.split(".")[0] for module in imported} & _LIBRARIES.keys()
    versions = {library: version(_LIBRARIES[library]) for library in libraries}
    return fingerprint([sources, versions])


def commit(folder: Path) -> str:
    """The git commit of the project in `folder`, with + behind it where files differ from it; "" without git."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=10", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _tree(module: str) -> ast.Module:
    """Syntax tree of a module without its docstrings."""
    package, *inside = module.split(".")
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(module)
    # asked for a module inside, find_spec would load the packages on the way to it, and TensorFlow with them
    path = Path(found.origin).parent.joinpath(*inside)
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return tree


def _imports(tree: ast.Module) -> Iterator[str]:
    """Full names of all modules that a tree imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            for alias in node.names:
                if node.module == _PACKAGE:  # `from digits import augment` names a module
                    yield f"{_PACKAGE}.{alias.name}"
