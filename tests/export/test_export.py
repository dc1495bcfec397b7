"""`make export` writes a folder that is compared with the models in runs/, and whose examples need no digits."""

import shutil
import subprocess
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from digits.cli.main import main
from digits.common.errors import UserError
from digits.config import Paths, load_params
from digits.data.dataset import Dataset, load_dataset
from digits.data.pixels import to_bytes
from digits.ensemble.application import fitted_blend
from digits.ensemble.blend import make_blend, save_blend
from digits.ensemble.combine import LOGITS, WeightedMean, from_json, mean
from digits.ensemble.members import Members
from digits.ensemble.selection import select_method
from digits.export.plan import Networks, make_plan
from digits.export.texts import texts
from digits.export.writing import Written, _compared
from digits.training.candidates import baseline_runs
from digits.training.fitting import fit_fold_unit, fit_refit_unit
from digits.training.runs import RunFolder, run_spec
from digits.training.schedule import Fit
from toys import ROOT, TOY, digits_arguments, prepare_toy, tree

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning:keras")]
TTA = "train.tta=[{rotation: 7.0}, {shift: [1, 0]}]"
# an example, run where the package cannot be imported
WITHOUT_DIGITS = """
import runpy, sys
sys.modules["digits"] = None
try:
    import digits
    sys.exit("digits can be imported")
except ImportError:
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network in bfloat16 on a fold and on all images, two baselines, and two blends: with and without these."""
    root = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "params.yaml", root)
    paths = Paths(root)
    params = load_params(ROOT / "params.yaml", (*TOY, TTA, "train.layers=4C3v BN MP2 8", "train.epochs=6"))
    data = prepare_toy(paths.processed / "toy")
    model = params.train.spec.model_dump(mode="json") | {"precision": "mixed_bfloat16"}
    network, others = run_spec("cnn", model, "/255", 0, data), baseline_runs(params, data)
    for spec in (network, *others):
        fit_fold_unit(data, paths.runs, spec, 0)
    fit_refit_unit(data, paths.runs, network, Fit(None, 6, 1))
    fit_refit_unit(data, paths.runs, network, Fit(None, 3, 2, 6))
    labels = np.asarray(data.labels)
    for name, specs in (("blend-networks", [network]), ("blend-all", [network, *others])):
        members = Members(tuple(RunFolder(paths.runs, spec).units(3) for spec in specs), (0,), data)
        found = members.predictions(data)
        rows = found[0].rows
        selection = select_method(found, {"mean": mean(LOGITS)}, labels[rows], np.asarray(data.folds)[rows])
        blend, predictions = make_blend(name, selection, labels[rows], labels[data.holdout_rows], members.units)
        save_blend(paths.runs, blend, predictions, b"", data.about)
    return root


@pytest.fixture
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    return project


def export(*options: str) -> int:
    return main(digits_arguments("export", *options))


def test_files_texts_and_examples_of_networks(inside: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The converters print nothing; the examples give the labels of the models in runs/, with TTA as these."""
    assert export("--blend=blend-networks", "--tta") == 0
    shown = capfd.readouterr()
    assert shown.err == ""
    assert not [line for line in shown.out.splitlines() if "arning" in line or "INFO" in line]
    folder = inside / "export" / "blend-networks-tta"
    formats = (".keras", ".onnx", ".tflite", "-float16.tflite")
    examples = {f"example_{kind}.py" for kind in ("keras", "onnx", "litert")}
    files = {f"{stem}{ending}" for stem in ("network", "blend") for ending in formats}
    assert {*tree(folder)} == {*files, *examples, "README.md", "classes.json", "manifest.json"}
    readme = (folder / "README.md").read_text()
    assert all(f"| `{file}` |" in readme for file in files)
    assert "/refit-1-6, the best network" in readme, "of the longer refit"
    assert readme.count("18 of 18") >= 6
    pd.DataFrame(data_of(inside).test_images).to_csv("test.csv", index=False)
    known = expected(make_plan(fitted_blend(inside / "runs", "blend-networks"), True).graphs["blend"], inside)
    for example in examples:
        assert labels_of(folder / example) == known, example
    before = tree(folder)
    assert export("--blend=blend-networks", "--tta") == 0
    assert "unchanged" in capfd.readouterr().out
    assert tree(folder) == before


def data_of(project: Path) -> Dataset:
    return load_dataset(project / "data" / "processed" / "toy")


def expected(networks: Networks, project: Path) -> list[int]:
    """Labels of the test images by the models in runs/."""
    data, combination = data_of(project), from_json(networks.combination)
    units = [[unit.model(data.about).predict_proba(data.test_images) for unit in each] for each in networks.members]
    blended = combination([np.mean(each, axis=0, dtype=float) for each in units])
    assert np.diff(np.sort(blended, axis=1)[:, -2:]).min() > 1e-3, "no label is a matter of rounding"
    return [int(label) for label in blended.argmax(axis=1)]


def labels_of(example: Path) -> list[int]:
    """Those that an example prints for test.csv; the ids count from 1."""
    words = [sys.executable, "-I", "-c", WITHOUT_DIGITS, str(example), "test.csv"]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, env={"TF_CPP_MIN_LOG_LEVEL": "3"})
    assert ran.returncode == 0, ran.stderr
    found = pd.read_csv(StringIO(ran.stdout), header=None)
    assert [*found[0]] == [*range(1, 31)]
    return [int(label) for label in found[1]]


def test_a_blend_that_needs_scikit_learn_has_no_graph(inside: Path) -> None:
    (inside / "data" / "processed" / "toy").rename(inside / "data" / "processed" / ".toy")
    try:
        assert export("--blend=blend-all") == 0
    finally:
        (inside / "data" / "processed" / ".toy").rename(inside / "data" / "processed" / "toy")
    folder = inside / "export" / "blend-all"
    names = {path.name for path in folder.iterdir()}
    assert "network.keras" in names
    assert not [name for name in names if name.startswith("blend")]
    small, nearest = (next(folder.glob(f"{name}-*.onnx")).stem for name in ("small", "nearest"))
    assert {f"{small}.skops", f"{nearest}.skops"} <= names
    readme = (folder / "README.md").read_text()
    assert f"no graph of the blend, because it needs scikit-learn models: {small}, {nearest}." in readme
    assert "Nothing was compared" in readme
    data = data_of(inside)
    pd.DataFrame(data.test_images).to_csv("test.csv", index=False)
    unit = make_plan(fitted_blend(inside / "runs", "blend-all"), False).baselines[small]
    known = unit.model(data.about).predict_proba(data.test_images).argmax(axis=1)
    assert labels_of(folder / "example_sklearn.py") == [*known]


def test_scikit_learn_models_without_a_weight_leave_the_blend_a_graph(inside: Path) -> None:
    fitted = fitted_blend(inside / "runs", "blend-all")
    weights = WeightedMean(np.array([1.0, 0.0, 0.0]), LOGITS)
    plan = make_plan(replace(fitted, blend=replace(fitted.blend, combination=weights.to_json())), False)
    assert [len(units) for units in plan.graphs["blend"].members] == [3, 0, 0]
    assert plan.needed == []
    assert len(plan.baselines) == 2


def test_a_file_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    images, known = np.zeros((4, 144), np.uint8), np.tile(np.array([0.2, 0.3, 0.5], np.float32), (4, 1))
    for name in ("a.onnx", "a-float16.tflite"):
        (tmp_path / name).touch()
    assert _compared(tmp_path / "a.onnx", lambda _: known + np.float32(5e-5), images, known).same == 4
    with pytest.raises(UserError, match=r"a.onnx has probabilities that differ by 0.001 from those of runs/"):
        _compared(tmp_path / "a.onnx", lambda _: known + np.float32(1e-3), images, known)
    with pytest.raises(UserError, match=r"differ by nan"):
        _compared(tmp_path / "a.onnx", lambda _: known * np.float32(np.nan), images, known)
    assert _compared(tmp_path / "a-float16.tflite", lambda _: known + np.float32(0.02), images, known).difference > 0.01


def test_what_is_not_installed_is_named(
    inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("digits.cli.commands.export.find_spec", lambda name: None)
    assert export("--blend=blend-networks") == 2
    said = "error: export needs tensorflow and tf2onnx; type: pip install 'digits[keras,export]'\n"
    assert capsys.readouterr().err == said


def test_examples_read_planes_other_ranges_and_ids(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = fitted_blend(inside / "runs", "blend-networks")
    changes = {"channels": 3, "planar": True, "test_id_column": "name"}
    competition = load_params(ROOT / "params.yaml", TOY).competition.model_copy(update=changes)
    text = texts(make_plan(fitted, False), fitted.blend, [Written("a", 1)], competition, False)["example_onnx.py"]
    assert "in zip(table['name'], probabilities)" in text
    values = np.random.default_rng(0).integers(0, 17, (5, 432))
    table = pd.DataFrame(values)
    table.insert(0, "name", list("abcde"))
    table.to_csv("planes.csv", index=False)
    (inside / "classes.json").write_text('{"pixel_range": [0, 16], "input_shape": [12, 12, 3]}')
    monkeypatch.setattr(sys, "argv", ["example_onnx.py", "planes.csv"])
    found = {"__file__": str(inside / "example_onnx.py")}
    exec(text.split("model =")[0], found)
    known, _ = to_bytes(values.astype(np.float32), (0, 16), competition)
    assert np.array_equal(np.reshape(found["images"], (5, -1)), known)
