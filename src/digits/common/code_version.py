"""The version of the code that computes something, as one hash that changes when its result may change."""

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from digits.common.files import fingerprint
from digits.common.fingerprints import COMPUTATIONS
from digits.common.syntax import decisive_code

PACKAGE = Path(__file__).parent.parent
_GIT_SECONDS = 10.0  # timeout of a git command; after it the commit is unknown


@cache
def code_version(computation: str, package: Path = PACKAGE, libraries: tuple[tuple[str, str], ...] = ()) -> str:
    """Hash of the code and of the library versions that decide the results of a computation.

    computation: a key of `fingerprints.COMPUTATIONS`. package: folder of the package's source. libraries: names and
    versions on another machine; (): those that are installed here. The hash covers the code
    of the listed modules, as `syntax.decisive_code` reads it, but not their names or order: a module may be moved or
    renamed. Any new version of a listed library changes it, even a patch release, because the last bits of a result may
    differ. Python's version and the machine do not. The modules are read, not imported.
    """
    listed = COMPUTATIONS[computation]
    code = sorted(_module_version(_file(package, module).read_text(encoding="utf-8")) for module in listed.modules)
    elsewhere = dict(libraries)
    versions = {name: elsewhere.get(name) or library_version(name) for name in listed.libraries}
    return fingerprint([code, versions])


def library_version(name: str) -> str:
    """Version of an installed library; "not installed" without it: what needs no network needs no Keras."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


@cache
def _module_version(source: str) -> str:
    return fingerprint(decisive_code(source))


def _file(package: Path, module: str) -> Path:
    path = package.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def commit(folder: Path) -> str:
    """The git commit of the project in `folder`, followed by + if tracked files were changed; "" without git."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=10", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return ""
