"""Fingerprints mean what they say: the lists hold all that decides a number, and nothing else computes anew."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

import pytest

from digits.common.code_version import code_version
from digits.common.fingerprints import COMPUTATIONS
from digits.models import FAMILIES
from imports import SOURCE, file_of, origins

NETWORKS = {"cnn", "tuning cnn", "recipes cnn", "toy examples", "timing"}
PIPELINES = {"mlp", "augmented-mlp", "logistic", "knn", "svm", "extra-trees", "tuning mlp", "recipes mlp"}
FITS = {*FAMILIES}
DISTRIBUTIONS = packages_distributions()  # by the name that is imported
NUMERICAL = {library for computation in COMPUTATIONS.values() for library in computation.libraries}

# Modules, and packages with all that is in them, that decide no number of the computations that do not list them.
DECIDE_NOTHING = {
    "cli": "passes params and results on; what it keeps is named after everything that decides it",
    "cluster": "where something is computed, not what; its workers have the same code and libraries",
    "common.code_version": "hashes the code, computes nothing",
    "common.console": "shows what happens",
    "common.disk": "refuses to write, computes nothing",
    "common.errors": "exceptions",
    "common.files": "writes and reads bytes as they are",
    "common.executors": "where something is computed, not what",
    "common.fingerprints": "these lists",
    "common.host": "what it says of the machine is in the fingerprints themselves",
    "common.interrupts": "when a command ends",
    "common.logs": "the log file",
    "common.markdown": "how tables look",
    "common.matching": "suggests names in messages",
    "common.plots": "how pictures look",
    "common.processes": "where something is computed, not what",
    "common.sealed": "writes and reads values as they are",
    "common.syntax": "reads the code, computes nothing",
    "config.faults": "how faults of params are worded",
    "config.load": "resolved params are in the fingerprints themselves",
    "config.networks": "resolved params are in the fingerprints themselves",
    "config.overrides": "resolved params are in the fingerprints themselves",
    "config.paths": "where files lie",
    "config.schema": "resolved params are in the fingerprints themselves",
    "config.section": "resolved params are in the fingerprints themselves",
    "config.yaml_reader": "resolved params are in the fingerprints themselves",
    "common.environment": "it makes all environments alike",
    "demo": "made anew by each command",
    "data.new_images": "made anew by each command",
    "data.single_csv": "it hands on what is read",
    "data.pictures": "made anew by each command",
    "data.infer": "what it infers is in the params",
    "data.sniff": "what is inferred from it is in the params",
    "data.places": "the hashes of the files that it finds are in the fingerprint of the data",
    "data.understand": "what it infers is in the params",
    "data.practice": "the hashes of the files that it makes are in the fingerprint of the data",
    "data.sources": "the hashes of the files that it finds are in the fingerprint of the data",
    "ensemble.labelling": "made anew by each command",
    "ensemble.application": "made anew by each command",
    "evaluation.comparison": "made anew by each command",
    "evaluation.ranking": "made anew by each command",
    "evaluation.reliability": "made anew by each command",
    "export": "made anew by each command",
    "kaggle": "sends files and asks for their scores",
    "kernel": "hands on what other rooms compute, here and on Kaggle's machines",
    "models.cnn.quiet": "keeps the notices of TensorFlow from the terminal while it is loaded",
    "replication.findings": "made anew by each command",
    "replication.plots": "made anew by each command",
    "replication.recipe": "resolved recipes are in the fingerprints themselves",
    "replication.table": "made anew by each command",
    "replication.timing": "in which order recipes are fitted",
    "report": "made anew by each command",
    "results": "hands results on",
    "training.applying": "made anew by each command",
    "training.elsewhere": "which fits are members; the blend is named after its members and their fits",
    "training.allocation": "which fits are made; a fit is named after its fold or its seed and epochs",
    "training.learning_curves": "the errors that a plan expects; it chooses which fits are made",
    "training.budget": "which fits are made; the blend is named after its members and their fits",
    "training.cards": "on which GPU something is computed, not what",
    "training.candidates": "which networks may be fitted; a run is named after its params",
    "training.device": "what it settles, as the precision and the batch size, is in the fingerprints themselves",
    "training.parallel": "which fits are made, when, where",
    "training.remedies": "advice in messages",
    "training.executor": "which fits are made, when, on which device",
    "training.schedule": "which fits are made; a fit is named after its fold or its seed and epochs",
    "training.tuned": "what a study found; a run is named after its params",
    "training.timing": "how long fits take on a machine, which decides their length in a search",
    "tuning.found": "what it writes is in the params",
    "tuning.plots": "made anew by each command",
    "tuning.progress": "shows what is kept",
    "tuning.report": "made anew by each command",
    "tuning.storage": "keeps the values of trials as they are",
    "watch": "shows what is kept",
}

# Libraries, by the distribution's name, that the modules on the lists import and that decide no number.
LIBRARIES_DECIDE_NOTHING = {
    "joblib": "where something is computed",
    "skops": "how a fitted pipeline is kept",
    "matplotlib": "how pictures look",
    "pydantic": "refuses params or leaves them as they are",
    "threadpoolctl": "how many threads compute; the modules say it",
}


def decides_nothing(module: str) -> bool:
    """Whether a module, or a package that it is in, is declared so."""
    return any(module == name or module.startswith(f"{name}.") for name in DECIDE_NOTHING)


def reached(computation: str) -> dict[str, str]:
    """The modules that a computation imports, by which of them; what decides nothing in it is not followed."""
    modules = COMPUTATIONS[computation].modules
    found = dict.fromkeys(COMPUTATIONS[computation].entries, "an entry")
    waiting = [*found]
    while waiting:
        module = waiting.pop()
        if module not in modules and decides_nothing(module):
            continue
        for name in sorted(origins(file_of(f"digits.{module}"))):
            inside = name.removeprefix("digits.")
            if name.startswith("digits.") and inside not in found:
                found[inside] = module
                waiting.append(inside)
    return found


def outside(modules: Iterable[str]) -> set[str]:
    """Distributions, by name, that modules import."""
    names = {name.split(".")[0] for module in modules for name in origins(file_of(f"digits.{module}"))}
    return {DISTRIBUTIONS[name][0] for name in names - sys.stdlib_module_names - {"digits"}}


@pytest.mark.parametrize("computation", COMPUTATIONS)
def test_all_that_a_computation_imports_is_on_a_list(computation: str) -> None:
    for module, by in reached(computation).items():
        assert module in COMPUTATIONS[computation].modules or decides_nothing(module), (
            f"{computation!r} imports {module} (in {by}), and src/digits/common/fingerprints.py does not say whether "
            f"that decides its numbers: add {module!r} to COMPUTATIONS[{computation!r}], or, if no change of its code "
            "can change a number, to DECIDE_NOTHING with the reason"
        )


@pytest.mark.parametrize("computation", COMPUTATIONS)
def test_nothing_on_a_list_is_stale(computation: str) -> None:
    for module in sorted(COMPUTATIONS[computation].modules):
        assert module in reached(computation), (
            f"{computation!r} does not import {module} any more: take {module!r} from COMPUTATIONS[{computation!r}] in "
            "src/digits/common/fingerprints.py"
        )


def test_every_module_is_on_a_list() -> None:
    listed = {module for computation in COMPUTATIONS.values() for module in computation.modules}
    for path in SOURCE.rglob("*.py"):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        assert path.stem in ("__init__", "__main__") or module in listed or decides_nothing(module), (
            f"src/digits/common/fingerprints.py does not know {module}: if its code can change a number, add it to the "
            "entries of a computation in COMPUTATIONS, otherwise to DECIDE_NOTHING with the reason"
        )


def test_what_decides_nothing_is_there_and_is_needed() -> None:
    imported = {
        name for computation in COMPUTATIONS for name in {*reached(computation)} - COMPUTATIONS[computation].modules
    }
    listed = {module for computation in COMPUTATIONS.values() for module in computation.modules}
    for module, reason in DECIDE_NOTHING.items():
        assert file_of(f"digits.{module}").exists(), f"there is no {module}: take it from DECIDE_NOTHING"
        assert module in imported or module not in listed, f"{module} counts wherever it is imported"
        assert reason


@pytest.mark.parametrize("computation", COMPUTATIONS)
def test_the_libraries_that_compute_are_on_the_list(computation: str) -> None:
    listed = {*COMPUTATIONS[computation].libraries}
    imported = outside(COMPUTATIONS[computation].modules)
    unknown = imported - listed - {*LIBRARIES_DECIDE_NOTHING}
    assert not unknown, (
        f"add {unknown} to the libraries of COMPUTATIONS[{computation!r}] or to LIBRARIES_DECIDE_NOTHING"
    )
    needs = {library: NUMERICAL & names_of(requires(library)) for library in listed}
    missing = {name for names in needs.values() for name in names} - listed
    assert not missing, f"{computation!r}: what is listed builds on {missing}; add them"
    stale = listed - imported - {name for names in needs.values() for name in names}
    assert not stale, f"{computation!r} does not use {stale} any more"


def names_of(requirements: list[str] | None) -> set[str]:
    """Names of the distributions that are required in any case."""
    always = [requirement for requirement in requirements or () if "extra ==" not in requirement]
    return {match[0].lower() for requirement in always if (match := re.match(r"[\w.-]+", requirement))}


def test_no_library_is_declared_in_vain() -> None:
    imported = {library for computation in COMPUTATIONS.values() for library in outside(computation.modules)}
    assert {*LIBRARIES_DECIDE_NOTHING} <= imported - NUMERICAL


def test_each_kind_of_model_is_computed_by_its_family() -> None:
    for kind, family in FAMILIES.items():
        assert family.removeprefix("digits.") in COMPUTATIONS[kind].entries
        for name, computation in COMPUTATIONS.items():
            if name.endswith(f" {kind}"):
                assert family.removeprefix("digits.") in computation.entries


def test_every_call_names_a_computation_and_every_computation_is_called() -> None:
    patterns = []
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "code_version":
                named = node.args[0]
                parts = named.values if isinstance(named, ast.JoinedStr) else [named]
                kinds = f"({'|'.join(FAMILIES)})"
                patterns.append("".join(str(part.value) if isinstance(part, ast.Constant) else kinds for part in parts))
    for pattern in patterns:
        assert any(re.fullmatch(pattern, name) for name in COMPUTATIONS), pattern
    for name in COMPUTATIONS:
        assert any(re.fullmatch(pattern, name) for pattern in patterns), name


def test_another_process_finds_the_same_and_imports_nothing() -> None:
    code = (
        "import sys\n"
        "from digits.common.code_version import code_version\n"
        "from digits.common.fingerprints import COMPUTATIONS\n"
        "print(*[code_version(name) for name in COMPUTATIONS])\n"
        "print(*{name.split('.')[0] for name in sys.modules})\n"
        "print(*{name for name in sys.modules if name.startswith('digits.')})"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    found, libraries, modules = shown.stdout.splitlines()
    assert found.split() == [*versions(SOURCE).values()]
    assert not {"numpy", "scipy", "sklearn", "pandas", "keras", "tensorflow", "optuna"} & {*libraries.split()}
    assert all(module.split(".")[1] == "common" for module in modules.split())


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package's source, to be changed."""
    return Path(shutil.copytree(SOURCE, tmp_path / "digits", ignore=shutil.ignore_patterns("__pycache__")))


def versions(package: Path) -> dict[str, str]:
    code_version.cache_clear()
    return {computation: code_version(computation, package) for computation in COMPUTATIONS}


def changed(package: Path) -> set[str]:
    """The computations that a copy computes anew."""
    before, after = versions(SOURCE), versions(package)
    return {computation for computation in COMPUTATIONS if after[computation] != before[computation]}


def rewrite(folder: Path, old: str, new: str) -> None:
    """Replace a text in the one file below `folder` that has it."""
    paths = [path for path in folder.rglob("*.py") if old in path.read_text(encoding="utf-8")]
    assert len(paths) == 1, f"{len(paths)} files in {folder.name} have the text {old!r}; name another one here"
    [path] = paths
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


class Reworded(ast.NodeTransformer):
    """Other docstrings, other messages of exceptions, other lines of the log and the console."""

    def __init__(self) -> None:
        self.messages = 0

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Expr(ast.Constant("Said in other words."))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc.args = [ast.Constant("Something else is wrong.")]
            self.messages += 1
        if isinstance(node, ast.Call) and re.search(r"\b(console|log)\.\w+$", ast.unparse(node.func)):
            node.args = [ast.Constant("Something happens."), *node.args]
            self.messages += 1
        return node


def test_other_words_change_nothing(package: Path) -> None:
    reworded = Reworded()
    for path in package.rglob("*.py"):
        tree = reworded.visit(ast.parse(path.read_text(encoding="utf-8")))
        path.write_text(f"# a comment\n{ast.unparse(ast.fix_missing_locations(tree))}\n", encoding="utf-8")
    assert reworded.messages > 100
    assert changed(package) == set()


@pytest.mark.parametrize(
    ("room", "old", "new"),
    [
        ("data", "pixel columns are missing", "columns are not there"),
        ("data", "cells are blank", "nothing stands in the cells"),
        ("data", "nothing was changed; correct this", "correct this; no harm is done"),
        ("data", "line ends in the middle: the file is incomplete", "the last line of the file is cut"),
        ("data", "pixel columns were not in order and have been put in order", "pixel columns were sorted"),
        ("evaluation", "({self.low:+.4f} to {self.high:+.4f}, n {self.count})", "[{self.low:+.3f}, {self.high:+.3f}]"),
    ],
)
def test_another_message_changes_nothing(package: Path, room: str, old: str, new: str) -> None:
    rewrite(package / room, old, new)
    assert changed(package) == set()


def test_another_console_changes_nothing(package: Path) -> None:
    for module in ("console", "logs", "errors", "plots", "processes"):
        (package / "common" / f"{module}.py").write_text("def all_is_new() -> None: ...\n", encoding="utf-8")
    assert changed(package) == set()


def test_a_module_may_be_renamed_and_moved(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (package / "models" / "warping.py").rename(package / "data" / "geometry.py")
    (package / "models" / "cnn" / "probe.py").rename(package / "models" / "cnn" / "speed.py")
    moved = {"models.warping": "data.geometry", "models.cnn.probe": "models.cnn.speed"}
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for old, new in moved.items():
            text = text.replace(f"digits.{old}", f"digits.{new}")
        path.write_text(text, encoding="utf-8")
    before = versions(SOURCE)
    renamed = {
        name: replace(
            computation,
            entries=tuple(moved.get(module, module) for module in computation.entries),
            imported=tuple(moved.get(module, module) for module in computation.imported),
        )
        for name, computation in COMPUTATIONS.items()
    }
    monkeypatch.setattr("digits.common.code_version.COMPUTATIONS", renamed)
    assert versions(package) == before


def test_a_new_kind_of_model_leaves_the_others(package: Path) -> None:
    rewrite(
        package / "models",
        '    "cnn": "digits.models.cnn",\n',
        '    "cnn": "digits.models.cnn",\n    "new": "digits.new",\n',
    )
    assert changed(package) == set()


@pytest.mark.parametrize(
    ("room", "old", "new", "anew"),
    [
        ("models", "_SIGMA = 4.0", "_SIGMA = 4.5", {*NETWORKS, "augmented-mlp"}),
        ("models", 'mode="constant"', 'mode="reflect"', {*NETWORKS, "augmented-mlp"}),
        ("models", "_CHUNK = 1024", "_CHUNK = 512", NETWORKS),
        ("models", "_MOMENTUM = 0.95", "_MOMENTUM = 0.99", {*NETWORKS, "device probe"}),
        ("models", "_UNBROKEN = 0.02", "_UNBROKEN = 0.03", {"device probe"}),
        ("models", "_MIN_ROW_VARIANCE = 1e-3", "_MIN_ROW_VARIANCE = 1e-2", {*NETWORKS, *PIPELINES}),
        ("models", 'method="temperature"', 'method="sigmoid"', {"logistic", "knn", "svm", "extra-trees"}),
        ("models", "NO_EARLY_STOPPING = {", 'NO_EARLY_STOPPING = {"patience": 1,', {*NETWORKS, *PIPELINES, "blend"}),
        ("training", 'fit.epochs, "min_steps": 0}', "fit.epochs}", FITS),
        ("training", "rows_of(data, folds)", "rows_of(data, sorted(folds))", {*FITS, "timing", "blend"}),
        ("data", "_UNASSIGNED = -3", "_UNASSIGNED = -4", {"data"}),
        ("data", ".permutation(len(data.folds))", ".permutation(len(data.labels))", {"sample"}),
        ("config", "range(self.first_pixel, ", "range(1 + self.first_pixel, ", {"data"}),
        ("tuning", "_LARGEST = 3.0", "_LARGEST = 4.0", {"tuning mlp", "tuning cnn"}),
        ("ensemble", "_SMALLEST = 1e-7", "_SMALLEST = 1e-8", {"blend"}),
        ("replication", "_SPLIT = 42", "_SPLIT = 43", {"recipes mlp", "recipes cnn"}),
    ],
)
def test_another_constant_computes_anew_what_uses_it(
    package: Path, room: str, old: str, new: str, anew: set[str]
) -> None:
    rewrite(package / room, old, new)
    assert changed(package) == anew


@pytest.mark.parametrize(
    "module",
    [
        "ensemble.blend",  # the score that is expected
        "ensemble.combine",
        "ensemble.disagreement",  # the picture
        "ensemble.members",  # which probabilities of its members
        "ensemble.selection",
        "evaluation.calibration",
        "evaluation.expected_score",
        "evaluation.metrics",
        "evaluation.scoring",
        "training.crossval",  # how they are put together from folds
        "training.runs",  # how they are read
    ],
)
def test_the_blend_covers_all_that_decides_it(package: Path, module: str) -> None:
    path = package.joinpath(*module.split(".")).with_suffix(".py")
    path.write_text(f"{path.read_text(encoding='utf-8')}\n_ANOTHER = 1\n", encoding="utf-8")
    assert "blend" in changed(package)


@pytest.mark.parametrize(
    ("library", "anew"),
    [
        ("tensorflow", {*NETWORKS, "device probe"}),
        ("keras", {*NETWORKS, "device probe"}),
        ("optuna", {"tuning mlp", "tuning cnn"}),
        ("pandas", {"data"}),
        ("scikit-learn", {*COMPUTATIONS} - {"device probe", "sample"}),
        ("numpy", {*COMPUTATIONS}),
        ("rich", set()),
    ],
)
def test_another_version_of_a_library_computes_anew_what_lists_it(
    monkeypatch: pytest.MonkeyPatch, library: str, anew: set[str]
) -> None:
    before = versions(SOURCE)
    monkeypatch.setattr(
        "digits.common.code_version.version", lambda name: f"{version(name)}{'.post1' if name == library else ''}"
    )
    after = versions(SOURCE)
    assert {computation for computation in COMPUTATIONS if after[computation] != before[computation]} == anew
