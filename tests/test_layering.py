"""Imports go down, never up or sideways."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "digits"

# From the ground up; docs/design.md says what each room is for. A module may import those of lower layers only.
LAYERS = (
    ("errors",),
    ("files", "layers", "machine", "warp"),
    ("apart", "console", "logs", "names", "pictures", "versions"),
    ("space",),
    ("config",),
    (
        "augment",
        "calibration",
        "dataset",
        "duplicates",
        "metrics",
        "plan",
        "practice",
        "preprocess",
        "submission",
    ),
    ("credentials", "engine", "ensemble", "estimate", "leaderboard", "ledger", "sources"),
    ("kaggle_client",),
    ("competition",),
    ("delivery",),
    ("selection",),
    ("blends",),
    ("prepared",),
    ("folds",),
    ("preparing",),
    ("models",),
    ("crossval",),
    ("runs",),
    ("fitting", "pace", "studies", "trials", "uncertain"),
    ("planning", "recipes", "tuning"),
    ("members", "report", "spending"),
    ("job",),
    ("stages",),
    ("benchmarks", "cli"),
)
ENTRY = ("__init__", "__main__")
LEVEL = {module: level for level, modules in enumerate(LAYERS) for module in modules}


def room(path: Path) -> str:
    """The module or subpackage of the package that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    """Full names of the package's modules that a file imports, wherever the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {
        name
        for name in names
        if (name.startswith("digits.") and (SOURCE / name.split(".")[1]).exists())
        or (name.startswith("digits.") and (SOURCE / f"{name.split('.')[1]}.py").exists())
    }


FILES = [path for path in sorted(SOURCE.rglob("*.py")) if room(path) not in ENTRY]


def test_every_room_has_a_layer() -> None:
    assert {room(path) for path in FILES} == set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down(path: Path) -> None:
    own = room(path)
    for name in imported_modules(path):
        other = name.split(".")[1]
        assert other == own or LEVEL[other] < LEVEL[own], f"{own} imports {name}, which is not below it"


def test_no_stage_imports_another() -> None:
    stages = {path.stem for path in (SOURCE / "stages").glob("*.py")} - {"__init__"}
    for path in (SOURCE / "stages").glob("*.py"):
        others = {f"digits.stages.{stage}" for stage in stages}
        assert not imported_modules(path) & others, path


def test_every_large_library_has_one_room() -> None:
    knows = {
        "kaggle": {"kaggle_client.py"},
        "optuna": {f"tuning/{name}.py" for name in ("confirm", "pictures", "search", "storage")},
        "keras": {"models/cnn/libraries.py"},
        "tensorflow": {"models/cnn/libraries.py"},
    }
    for library, allowed in knows.items():
        users = {
            str(path.relative_to(SOURCE))
            for path in SOURCE.rglob("*.py")
            for node in ast.walk(ast.parse(path.read_text()))
            if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == library for alias in node.names))
            or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == library)
        }
        assert users == allowed
