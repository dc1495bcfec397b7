"""The version of the code that computes something, as one hash that changes when its result may change."""

import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

from digits.common.files import fingerprint
from digits.common.fingerprints import COMPUTATIONS
from digits.common.syntax import decisive_code

PACKAGE = Path(__file__).parent.parent
_GIT_SECONDS = 10.0  # it may take; without it the commit is not known


@cache
def code_version(computation: str, package: Path = PACKAGE) -> str:
    """Hash of what decides the numbers of a computation, one of `fingerprints.COMPUTATIONS`.

    It covers the code of the modules on the computation's list, as `syntax.decisive_code` reads it, without their names
    and in no order, so that a module may be moved or renamed. It covers the versions of the libraries on the list: any
    new version, patch releases included, computes anew, because the last bits may differ. Python's own version and the
    machine are not covered. The modules are read, not imported. package: folder of the package's source.
    """
    listed = COMPUTATIONS[computation]
    code = sorted(_module_version(_file(package, module).read_text(encoding="utf-8")) for module in listed.modules)
    return fingerprint([code, {library: version(library) for library in listed.libraries}])


@cache
def _module_version(source: str) -> str:
    return fingerprint(decisive_code(source))


def _file(package: Path, module: str) -> Path:
    path = package.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


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
