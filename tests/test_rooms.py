"""Rooms import downwards: what a room may know of the others, and what only one room may know of a library."""

from pathlib import Path

import pytest

from imports import SOURCE, imported

# From the ground up. A room imports those of lower floors only; docs/design.md says what each room is for.
ROOMS = (
    ("evaluation", "common"),
    ("models",),
    ("config",),
    ("data", "kaggle"),
    ("training",),
    ("replication", "tuning", "ensemble"),
    ("report", "export", "demo", "results", "watch", "kernel", "cluster"),
    ("cli",),
)
# The same inside the two rooms in which it is easy to lose the way.
MODELS = (
    ("architecture", "distributions", "warping"),
    ("points", "search_space", "augmentation", "preprocessing", "__init__"),
    ("baselines", "cnn"),
)
TRAINING = (
    ("schedule", "crossval", "learning_curves", "remedies", "cards"),
    ("allocation", "runs", "probing"),
    ("device", "tuned", "fitting", "applying"),
    ("timing", "candidates"),
    ("budget", "parallel", "elsewhere"),
    ("executor",),
)
# that know Optuna
TUNING = (
    "confirmation",
    "plots",
    "progress",
    "pruner",
    "records",
    "sampler",
    "search",
    "storage",
    "study",
    "trial_fits",
)
# that draw charts
CHARTS = ("chart", "scale", *(f"sections/{name}" for name in ("ensemble", "errors", "runs", "training", "tuning")))
ENTRY = ("__init__", "__main__")


def floors(plan: tuple[tuple[str, ...], ...]) -> dict[str, int]:
    return {name: floor for floor, names in enumerate(plan) for name in names}


def part(path: Path, folder: Path) -> str:
    """The module or subpackage below `folder` that a file belongs to."""
    return path.relative_to(folder).parts[0].removesuffix(".py")


FILES = [path for path in sorted(SOURCE.rglob("*.py")) if part(path, SOURCE) not in ENTRY]


def test_every_module_stands_in_a_room() -> None:
    assert {part(path, SOURCE) for path in FILES} == set(floors(ROOMS))
    for room, plan in (("models", MODELS), ("training", TRAINING)):
        modules = {part(path, SOURCE / room) for path in (SOURCE / room).rglob("*.py")}
        assert modules - {"__init__"} == set(floors(plan)) - {"__init__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_rooms_import_downwards(path: Path) -> None:
    own = part(path, SOURCE)
    for name in imported(path):
        if name.startswith("digits."):
            other = name.split(".")[1]
            assert other == own or floors(ROOMS)[other] < floors(ROOMS)[own], f"{own} imports {name}"


@pytest.mark.parametrize(("room", "plan"), [("models", MODELS), ("training", TRAINING)])
def test_inside_a_room_too(room: str, plan: tuple[tuple[str, ...], ...]) -> None:
    floor = floors(plan)
    for path in (SOURCE / room).rglob("*.py"):
        own = part(path, SOURCE / room)
        for name in imported(path):
            if name == f"digits.{room}" or name.startswith(f"digits.{room}."):
                other = name.split(".")[2] if name.count(".") > 1 else "__init__"
                assert other == own or floor[other] < floor.get(own, 0), f"{room}.{own} imports {name}"


def test_no_command_imports_another() -> None:
    commands = {f"digits.cli.commands.{path.stem}" for path in (SOURCE / "cli" / "commands").glob("[!_]*.py")}
    for path in (SOURCE / "cli" / "commands").glob("*.py"):
        assert not imported(path) & commands, path


def test_every_large_library_has_one_room() -> None:
    knows = {
        "kaggle": {"kaggle/client.py"},
        "kagglesdk": {"kaggle/client.py", "kaggle/kernels.py"},
        "optuna": {f"tuning/{name}.py" for name in TUNING},
        "altair": {f"report/{name}.py" for name in CHARTS},
        "vl_convert": {"report/chart.py"},
        "keras": {"models/cnn/libraries.py"},
        "tensorflow": {"models/cnn/libraries.py"},
        "distributed": {f"cluster/{name}.py" for name in ("client", "connection", "worker")},
    }
    for library, allowed in knows.items():
        users = {
            str(path.relative_to(SOURCE))
            for path in SOURCE.rglob("*.py")
            for name in imported(path)
            if name.split(".")[0] == library
        }
        assert users == allowed
