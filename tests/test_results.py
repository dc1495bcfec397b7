"""The package in Python: what `digits.load`, `latest` and `read` say is what the files say; the notebook runs."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from nbclient import NotebookClient

import digits as package
from digits.cli.main import main
from digits.common.sealed import DAMAGED, sealed_folder, write_json
from digits.config import load_params
from digits.data.sample import sampled
from digits.ensemble.blend import load_about
from digits.training.candidates import baseline_runs
from digits.training.fitting import fit_fold_unit
from toys import MINUTES, ROOT, TOY, digits_arguments, prepare_toy, tree, write_toy_files

NOTEBOOK = ROOT / "notebooks" / "explore.ipynb"
PARAMS = """
extends: general.yaml
competition: {slug: toy, image_shape: [12, 12], classes: 3, train_rows: 180, test_rows: 30}
"""
ALSO = (MINUTES, "data.folds=2", "ensemble.selection_rounds=5")
WRONG = [12, 72, 132]  # rows of the training file whose labels are wrong
GREY, COLOUR = (12, 12), (12, 12, 3)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, probed: Path) -> Path:
    """A toy project after `make baseline` and `make submit`: a blend of a baseline and a network."""
    folder = tmp_path_factory.mktemp("module") / "a project"
    write_toy_files(folder / "data" / "raw")
    labelled = folder / "data" / "raw" / "train.csv"
    frame = pd.read_csv(labelled)
    frame.loc[np.array(WRONG) - 2, "label"] = (frame["label"][np.array(WRONG) - 2] + 1) % 3
    frame.to_csv(labelled, index=False)
    shutil.copy(ROOT / "params.yaml", folder / "general.yaml")
    (folder / "params.yaml").write_text(PARAMS)
    shutil.copytree(probed, folder / "runs" / "machines")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder))
        for command in (("baseline", "--only=nearest"), ("submit",)):
            assert main(digits_arguments(*command, also=ALSO)) == 0
    return folder


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current folder."""
    folder = Path(shutil.copytree(finished, tmp_path / "project"))
    monkeypatch.chdir(folder)
    return folder


def runs_of(project: Path) -> list[package.Run | package.Blend]:
    return [package.load(path.parent) for path in sorted(project.glob("runs/*/run.json"))]


def refused(action: Callable[[], Any]) -> str:
    """The message of a UserError, which must be one line."""
    with pytest.raises(package.UserError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_import_waits_for_no_large_library() -> None:
    code = "import digits, sys; print(*dir(digits)); print(*sys.modules); digits.load; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    names, light, used = (set(line.split()) for line in shown.splitlines())
    assert {*package.__all__} <= names
    assert not {"numpy", "pandas", "tensorflow", "matplotlib", "digits.results"} & light
    assert "pandas" in used
    assert not {"tensorflow", "keras", "matplotlib", "optuna"} & used
    with pytest.raises(AttributeError, match="module 'digits' has no attribute 'lode'"):
        getattr(package, "lode")  # noqa: B009 - mypy knows that there is none


@pytest.mark.slow
def test_probabilities_of_the_test_images_are_the_stored_ones(project: Path) -> None:
    """By a network, a baseline and the blend, to the bit."""
    blend = package.latest()
    images = blend.data.test_images
    with np.load(blend.path / "probabilities.npz") as arrays:
        assert np.array_equal(blend.predict_proba(images), arrays["test"])
    runs = runs_of(project)
    assert {run.path.name for run in runs} == {*blend.params["units"]}
    assert {run.params["kind"] for run in runs} == {"cnn", "knn"}
    for run in runs:
        stored = [np.load(unit)["test"] for unit in sorted(run.path.glob("*/probabilities.npz"))]
        assert len(stored) == (3 if run.params["kind"] == "cnn" else 2)
        assert np.array_equal(run.predict_proba(images), np.mean(stored, axis=0, dtype=np.float64))


@pytest.mark.slow
def test_images_may_have_any_shape_that_is_theirs(project: Path) -> None:
    run = package.load(next(project.glob("runs/nearest-*")))
    images: Any = run.data.test_images
    known = np.mean([np.load(unit)["test"] for unit in run.path.glob("*/probabilities.npz")], axis=0)
    for shape in (GREY, (*GREY, 1)):
        assert np.allclose(run.predict_proba(images.reshape(-1, *shape)), known)
    assert run.predict_proba(images[:0]).shape == (0, 3)
    wanted = re.escape("images must be uint8 (n, 12, 12) or (n, 12, 12, 1) or (n, 144); these are ")
    for wrong in (images[0], images[:, 1:], images.reshape(-1, 1, 12, 12), images / 255, images.astype(np.int64)):
        with pytest.raises(ValueError, match=wanted + re.escape(f"{wrong.dtype} {wrong.shape}")):
            run.predict_proba(wrong)


@pytest.mark.slow
def test_out_of_fold_predictions_are_those_of_each_row_of_the_file(project: Path) -> None:
    file = pd.read_csv("data/raw/train.csv")
    for each in (package.latest(), *runs_of(project)):
        oof, data = each.oof, each.data
        assert [*oof.columns] == ["row", "label", "prediction", "probability", "0", "1", "2"]
        assert oof["row"].tolist() == (np.flatnonzero(data.folds >= 0) + 2).tolist()
        assert oof["label"].astype(int).tolist() == file["label"][oof["row"] - 2].tolist()
        probabilities = oof[each.classes].to_numpy()
        assert np.array_equal(oof["prediction"].cat.codes, probabilities.argmax(axis=1))
        assert np.array_equal(oof["probability"], probabilities.max(axis=1))
        pixels = file.drop(columns="label").to_numpy()[oof["row"] - 2]
        assert np.array_equal(each.images(oof["row"]), pixels.reshape(-1, *GREY))
    run = package.load(next(project.glob("runs/nearest-*")))
    for fold in range(2):
        valid = np.load(run.path / f"fold-{fold}" / "probabilities.npz")["valid"]
        mine = run.oof[run.data.folds[run.oof["row"] - 2] == fold]
        assert np.array_equal(mine[run.classes], valid)
    with np.load(package.latest().path / "probabilities.npz") as arrays:
        assert np.array_equal(package.latest().oof[["0", "1", "2"]], arrays["oof"])
    for row in (1, 182):
        with pytest.raises(ValueError, match="rows must be 2 to 181"):
            run.images([row])


@pytest.mark.slow
def test_errors_are_the_images_that_are_predicted_wrongly(project: Path) -> None:
    """Those with wrong labels among them, unless they are held out."""
    for each in (package.latest(), *runs_of(project)):
        oof, errors = each.oof, each.errors()
        assert {*errors["row"]} == {*oof["row"][oof["label"].astype(str) != oof["prediction"].astype(str)]}
        assert (np.diff(errors["probability"]) <= 0).all()
        [axes] = each.plot_errors(2).axes
        assert len(axes.images) == len(axes.texts) == min(2, len(errors))
        first = errors.iloc[0]
        shown = f"{first['label']}, seen as {first['prediction']} {first['probability']:.0%}"
        assert axes.texts[0].get_text() == f"row {first['row']}\n{shown}"
        assert np.array_equal(np.asarray(axes.images[0].get_array()), each.images([first["row"]])[0])
    best = package.load(next(project.glob("runs/nearest-*")))
    assert {*WRONG} & {*best.oof["row"]} <= {*best.errors()["row"]}
    assert {*WRONG} & {*best.oof["row"]}


@pytest.mark.slow
def test_params_history_and_metrics_are_those_of_the_files(project: Path) -> None:
    [network] = [run for run in runs_of(project) if run.params["kind"] == "cnn"]
    assert network.params["layers"] == "4C3 MP2 8"
    assert (network.params["normalise"], network.params["seed"]) == ("/255", 42)
    history = network.history
    [refit] = network.path.glob("refit-*")
    epochs = {"fold-0": 2, "fold-1": 2, refit.name: int(refit.name.split("-")[2])}
    told = [(unit, epoch) for unit, count in epochs.items() for epoch in range(1, count + 1)]
    assert [*zip(history["unit"], history["epoch"], strict=True)] == told
    assert {"loss", "accuracy", "learning_rate", "valid_accuracy"} <= {*history.columns}
    assert [*history.columns[:2]] == ["unit", "epoch"]
    oof = network.oof
    right = (oof["label"] == oof["prediction"]).mean()
    assert network.metrics["cv_accuracy"] == pytest.approx(right)
    assert network.metrics["cv_low"] < right < network.metrics["cv_high"]
    blend = package.latest()
    assert blend.history.empty
    assert {"unit", "epoch", "loss"} <= {*blend.history.columns}
    assert blend.metrics["metric"] == "accuracy"
    for name in ("cv", "holdout", "expected"):
        assert blend.metrics[name]["low"] <= blend.metrics[name]["value"] <= blend.metrics[name]["high"]
    assert blend.params["weights"].keys() == blend.params["units"].keys()
    assert repr(blend) == f"<Blend {blend.path.name}>"


@pytest.mark.slow
def test_runs_may_be_copied_moved_and_renamed(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their data are those of their own project, else of the current folder."""
    name = next(project.glob("runs/nearest-*")).name
    shutil.copytree(project / "runs", tmp_path / "elsewhere" / "runs")
    copy = tmp_path / "elsewhere" / "runs"
    (copy / name).rename(copy / "mine")
    run = package.load("../elsewhere/runs/mine")
    assert run.oof.equals(package.load(f"runs/{name}").oof)
    assert len(run.predict_proba(run.data.test_images[:2])) == 2
    blend = package.latest(tmp_path / "elsewhere")
    assert blend.oof.equals(package.latest().oof)
    monkeypatch.chdir(tmp_path)
    assert len(package.latest(project).oof) == len(blend.oof)
    alone = package.latest(tmp_path / "elsewhere")
    assert alone.classes == ["0", "1", "2"]
    for action in (lambda: alone.oof, lambda: package.load(copy / "mine").errors()):
        assert "not in data/processed; type make data" in refused(action)


@pytest.mark.slow
def test_what_cannot_be_loaded_is_an_error_in_a_line(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = tree(project)
    for name in ("runs/typo", "data/raw", ".", "runs/machines", "params.yaml"):
        assert f"{name} is no finished run or blend; type make runs" in refused(partial(package.load, name))
    assert tree(project) == before, "what is not a run is left alone"
    run, network = (next(project.glob(f"runs/{name}-*")) for name in ("nearest", "cnn"))
    blend = package.latest().path

    spec = package.load(run)._spec  # type: ignore[union-attr]
    write_json(run / "run.json", asdict(spec) | {"former": 1})
    assert "another version of digits made it" in refused(lambda: package.load(run))
    write_json(run / "run.json", asdict(spec))
    loaded = package.load(blend)
    (network / "fold-1" / "probabilities.npz").write_bytes(b"")
    assert "cnn-" in refused(lambda: package.load(network))
    assert "fold-1" not in {*package.load(network).history["unit"]}
    assert "is missing or damaged; type: make submit" in refused(lambda: loaded.predict_proba(loaded.images([2])))
    shutil.rmtree(network / "fold-0")
    assert "no fold of this run is finished yet" in refused(lambda: package.load(network))
    (run / "run.json").write_text("{")
    assert "run.json is damaged" in refused(lambda: package.load(run))
    (blend / "blend.json").write_text("{}")
    assert "is damaged and set aside; type make submit" in refused(lambda: package.load(blend))
    assert "no blend yet; type make submit" in refused(package.latest)
    assert {path.name.split("-")[1] for path in project.glob(f"runs/**/{DAMAGED}*")} == {"blend", "fold", "run.json"}
    capfd.readouterr()


@pytest.mark.slow
def test_the_latest_blend_is_the_newest_of_real_images(project: Path) -> None:
    [first] = project.glob("runs/blend-*")
    made = [("before", "local", -9), ("after", "kaggle", 9), ("last", "practice", 99)]
    for name, provenance, seconds in made:
        with sealed_folder(first.with_name(f"blend-{name}")) as folder:
            for file in ("blend.json", "probabilities.npz"):
                shutil.copy(first / file, folder)
            write_json(folder / "about.json", load_about(first.parent, first.name) | {"provenance": provenance})
        time = first.stat().st_mtime + seconds
        os.utime(first.with_name(f"blend-{name}"), (time, time))
    for expected in ("blend-after", first.name, "blend-before", "blend-last"):
        assert package.latest(project).path.name == expected
        shutil.rmtree(project / "runs" / expected)
    assert "type make submit" in refused(package.latest)


@pytest.mark.slow
def test_a_run_that_learned_from_a_sample_and_one_in_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = load_params(ROOT / "params.yaml", TOY)
    data = prepare_toy(tmp_path / "data" / "processed" / "toy", coloured=True)
    sample = sampled(data, 2, params.train.seed)
    spec = next(spec for spec in baseline_runs(params, sample) if spec.name == "nearest")
    fit_fold_unit(sample, tmp_path / "runs", spec, 1)
    run = package.load(f"runs/{spec.folder_name}")
    assert run.oof["row"].tolist() == (sample.valid_rows(1) + 2).tolist()
    assert run.metrics["folds"] == 1
    images = run.images(run.oof["row"])
    assert images.shape[1:] == COLOUR
    assert np.array_equal(run.predict_proba(images).astype(np.float32), run.oof[run.classes])
    with pytest.raises(ValueError, match=re.escape("uint8 (n, 12, 12, 3) or (n, 432); these are uint8")):
        run.predict_proba(images[..., 0])
    monkeypatch.setattr("digits.data.sample.code_version", lambda name: "newer")
    assert "another version of digits drew its sample" in refused(lambda: package.load(run.path).oof)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """The toy training file, in a folder with params that describe it."""
    write_toy_files(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path / "general.yaml")
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)
    return pd.read_csv("train.csv").copy()


def read(frame: pd.DataFrame, header: bool = True, **competition: Any) -> package.Images:
    """The content of a file with these cells, which has these differences from the toy competition's."""
    frame.to_csv("train.csv", index=False, header=header)
    Path("mine.yaml").write_text(yaml.safe_dump({"extends": "params.yaml", "competition": competition}))
    return package.read("train.csv", params="mine.yaml")


def test_a_file_is_read_as_make_data_reads_it(table: pd.DataFrame) -> None:
    images, labels = package.read("train.csv")
    assert images.dtype == np.uint8
    assert images.shape == (180, *GREY)
    assert np.array_equal(images.reshape(180, -1), table.drop(columns="label"))
    assert labels is not None
    assert labels.dtype == np.int64
    assert labels.tolist() == table["label"].tolist()
    unlabelled = package.read(Path("test.csv"))
    assert unlabelled.labels is None
    assert np.array_equal(unlabelled.images.reshape(30, -1), pd.read_csv("test.csv"))
    few = read(table[:1])
    assert (few.images.shape, few.labels.tolist()) == ((1, *GREY), [0])  # type: ignore[union-attr]


def test_labels_are_those_of_the_file_whatever_they_are(table: pd.DataFrame) -> None:
    names, pixels = np.array(["ant", "bee", "cat"])[table["label"]], table.drop(columns="label").copy()

    def labels(frame: pd.DataFrame, header: bool = True, **competition: Any) -> list[Any]:
        return [*np.asarray(read(frame, header, **competition).labels).tolist()]

    assert labels(pixels.assign(kind=names), label_column="kind") == names.tolist()
    assert labels(pixels.assign(label=table["label"] + 5.0)) == (table["label"] + 5).tolist()
    one_hot = pixels.assign(**{name: (names == name).astype(int) for name in ("ant", "bee", "cat")})
    assert labels(one_hot, label_column=["ant", "bee", "cat"]) == names.tolist()
    ids = [f"image {number}" for number in range(180)]
    pd.DataFrame({"name": ids, "kind": names})[::-1].to_csv("labels.csv", index=False)
    apart: dict[str, Any] = {"labels_file": "labels.csv", "train_id_column": "name", "label_column": "kind"}
    assert labels(pixels.assign(name=ids), **apart) == names.tolist()
    pixels.assign(name="not in labels.csv").to_csv("unlabelled.csv", index=False)
    assert package.read("unlabelled.csv", "mine.yaml").labels is None
    plain: dict[str, Any] = {"label_column": "column0", "first_pixel": "column1"}
    assert labels(table, header=False, **plain) == table["label"].tolist()
    assert read(pixels, header=False, **plain).labels is None


def test_colours_ranges_and_notices(table: pd.DataFrame) -> None:
    pixels = pd.DataFrame(np.arange(432).reshape(1, -1) % 256, columns=[f"pixel{number}" for number in range(432)])
    interleaved, _ = read(pixels, channels=3)
    assert np.array_equal(interleaved.ravel(), pixels.to_numpy().ravel())
    planar, _ = read(pixels, channels=3, planar=True)
    assert planar.shape == (1, *COLOUR)
    assert np.array_equal(planar[0].transpose(2, 0, 1).ravel(), pixels.to_numpy().ravel())
    dark = (table.drop(columns="label") // 4).clip(upper=50)
    dark.iloc[0, 0] = 50
    with pytest.warns(UserWarning, match="the largest pixel is 50, so 0 to 50 is scaled to 0 to 255"):
        assert read(dark).images.max() == 255
    assert np.array_equal(package.read("train.csv", pixel_range=(0, 255)).images.reshape(180, -1), dark)
    assert read(dark, pixel_range=[0, 200]).images.max() == 64


def test_faults_of_a_file_are_named(table: pd.DataFrame) -> None:
    assert "typo.csv: there is no such file" in refused(lambda: package.read("typo.csv"))
    assert "typo.yaml" in refused(lambda: package.read("train.csv", "typo.yaml"))
    assert "the first is 'pixel7'" in refused(lambda: read(table.drop(columns="pixel7")))
    table = table.astype(object)
    table.loc[3, "pixel9"] = "x"
    with pytest.raises(package.UserError, match="row 5, column pixel9"):
        read(table)


@pytest.mark.slow
def test_the_program_in_the_docs_runs_as_it_stands(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [program] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "look-inside.md").read_text(), re.DOTALL)
    Path("data/raw/test.csv").rename("new.csv")
    exec(compile(program, "errors.py", "exec"), {})
    shown = capsys.readouterr().out
    blend = package.latest()
    assert str(blend.errors().head(3)) in shown
    for run in runs_of(project):
        assert f"{run} {run.params['kind']} {run.metrics['cv_accuracy']:.4f}\n" in shown
    with np.load(blend.path / "probabilities.npz") as arrays:
        names = np.array(blend.classes)[arrays["test"].argmax(axis=1)]
    assert shown.endswith(f"{names[:10]}\n")
    assert Path("errors.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_notebook_runs_and_shows_its_pictures(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In notebooks/ of a project, by a kernel that finds the package in this source."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    (project / "notebooks").mkdir()
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells), "none is stored"
    client = NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": project / "notebooks"}})
    client.execute()
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    shown = {name: {kind for each in each_cell for kind in each.get("data", ())} for name, each_cell in outputs.items()}
    assert {name for name, kinds in shown.items() if "image/png" in kinds} == {
        "errors-picture",
        "reliability",
        "augment",
    }
    text = {name: "".join(each.get("text", "") for each in each_cell) for name, each_cell in outputs.items()}
    blend = package.latest()
    first, last = blend.params["units"]
    each_oof = (package.load(f"runs/{name}").oof for name in (first, last))
    right = [(oof["label"] == oof["prediction"]).mean() for oof in each_oof]
    assert f"of <Run {first}> minus that of <Run {last}>" in text["compare"]
    assert f"\n{right[0] - right[1]:z.4f} (" in text["compare"]
    assert f"{blend.errors()['probability'][0]:.6f}" in outputs["errors"][0]["data"]["text/plain"]
