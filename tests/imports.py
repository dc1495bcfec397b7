"""What the modules of the package import, read from their source."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from toys import ROOT

SOURCE = ROOT / "src" / "digits"


def imported(path: Path) -> set[str]:
    """Full names of all modules that a file imports, wherever the import stands, but for types alone."""
    return {f"{module}.{name}" if name and is_module(f"{module}.{name}") else module for module, name in _imports(path)}


def origins(path: Path) -> set[str]:
    """As `imported`, but where a package hands on a name, as digits.config does, the module that the name is from."""
    return {_origin(module, name) for module, name in _imports(path)}


def is_module(name: str) -> bool:
    """Whether this is the full name of a module or room of the package."""
    package, *inside = name.split(".")
    return package == "digits" and bool(inside) and file_of(name).exists()


def file_of(module: str) -> Path:
    """The source of one of the package's modules, by its full name."""
    path = SOURCE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _origin(module: str, name: str) -> str:
    if name and is_module(f"{module}.{name}"):
        return f"{module}.{name}"
    if is_module(module) and (file := file_of(module)).name == "__init__.py":
        for inner, handed_on in _imports(file):
            if handed_on == name:
                return _origin(inner, name)
    return module


@cache
def _imports(path: Path) -> tuple[tuple[str, str], ...]:
    """Pairs of a module and a name in it; "": the module itself."""
    return tuple(_names(ast.parse(path.read_text(encoding="utf-8")), path))


def _names(node: ast.AST, path: Path) -> Iterator[tuple[str, str]]:
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.If) and ast.unparse(inner.test) == "TYPE_CHECKING":
            continue
        if isinstance(inner, ast.Import):
            yield from ((alias.name, "") for alias in inner.names)
        elif isinstance(inner, ast.ImportFrom):
            assert inner.level == 0, f"{path}: relative import"
            yield from ((inner.module or "", alias.name) for alias in inner.names)
        else:
            yield from _names(inner, path)
