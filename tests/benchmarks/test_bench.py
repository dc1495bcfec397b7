"""The benchmark of the networks: its figures and its report."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import networks, one_fit
from digits.config import CnnSpec, Params, load_params
from digits.data.dataset import Dataset, save_dataset
from toys import ROOT, digits_arguments, write_toy_files

pytestmark = pytest.mark.slow


def test_the_overhead_is_that_of_a_fit_of_three_minutes() -> None:
    """Interpolated between the networks that take less and more time, or the nearest one's."""

    def fits(minutes: float, share: float) -> list[dict[str, float]]:
        return [{"seconds": 60 * minutes, "step_seconds": 60 * minutes * (1 - one)} for one in (share, 0.9, 0.0)]

    assert networks._overhead_share([fits(0.2, 0.5), fits(5, 0.02), fits(2, 0.08)]) == pytest.approx(0.06)
    assert networks._overhead_share([fits(4, 0.04), fits(10, 0.01)]) == pytest.approx(0.04)


def test_the_former_networks_stand_beside_todays() -> None:
    former, today = (load_params(ROOT / name) for name in ("benchmarks/params.former.yaml", "params.yaml"))
    assert set(former.networks) == {*today.networks, "former-tiny", "former-small"}
    assert former.network("former-small").layers.startswith("16C3v 16C3v MP2 32C3v 32C3v")
    assert former.network("tiny") == today.network("tiny")


def test_a_network_is_fitted_in_a_process_of_its_own(
    toy_data: Dataset, toy_params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From any folder."""
    monkeypatch.chdir(tmp_path)
    context: Any = SimpleNamespace(data=toy_data, params=toy_params)
    figures = networks._fit(context, toy_params.train.spec.model_copy(update={"epochs": 4}), 0)
    assert figures.keys() == {"accuracy", "seconds", "step_seconds"}
    assert 0 <= figures["accuracy"] <= 1
    assert 0 < figures["step_seconds"] < figures["seconds"]


def test_networks_are_not_judged_on_the_holdout(toy_data: Dataset, toy_params: Params, tmp_path: Path) -> None:
    """Other images and labels there change nothing, so what is chosen by the benchmark is not chosen on it."""
    spec = toy_params.train.spec.model_dump(mode="json")
    for name, arrays in {"as it is": {}, "other": _other_holdout(toy_data)}.items():
        content = {key: getattr(toy_data, key) for key in ("images", "labels", "folds", "test_images", "test_ids")}
        save_dataset(tmp_path / name, content | arrays, toy_data.about)
    first, second = (one_fit.measure(tmp_path / name, spec, "/255", 1, 0, 0.0) for name in ("as it is", "other"))
    assert first["accuracy"] == second["accuracy"]


def _other_holdout(data: Dataset) -> dict[str, np.ndarray]:
    images, labels = np.array(data.images), np.array(data.labels)
    images[data.holdout_rows] = 255 - images[data.holdout_rows]
    labels[data.holdout_rows] = (labels[data.holdout_rows] + 1) % data.classes
    return {"images": images, "labels": labels}


def test_the_report_has_what_was_measured(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One round of our training and of plain Keras, with given figures of the fits."""
    write_toy_files(workspace / "data" / "raw")
    monkeypatch.chdir(workspace)
    for name, value in {"ROUNDS": 1, "IMAGES": 512, "FOLDS": (0, 1), "MATRIX": 64}.items():
        monkeypatch.setattr(networks, name, value)

    def fit(_: Any, spec: CnnSpec, fold: int) -> dict[str, float]:
        seconds = 60 * spec.epochs + 2 * fold
        return {"accuracy": 0.9 + 0.02 * fold, "seconds": seconds, "step_seconds": 0.5 * seconds}

    monkeypatch.setattr(networks, "_fit", fit)
    changes = (
        "networks={long: {epochs: 3, tta: [{shift: [0, 1]}]}, short: {epochs: 1}}",
        "train.candidates=[default]",
        "train.batch_size=64",
    )
    monkeypatch.setattr(sys, "argv", ["benchmarks", *digits_arguments("networks", also=changes)])
    assert command.main() == 0
    report: dict[str, Any] = json.loads((workspace / "reports" / "bench.json").read_text())
    assert report["machine"]
    assert report["speedup"] > 0
    assert report["peak_share"] > 0
    assert report["overhead_share"] == 0.5
    short, long = report["frontier"]
    assert (short["name"], long["name"], long["config"]["epochs"]) == ("short", "long", 3)
    for point in (short, long):
        assert point["minutes"] == round(point["config"]["epochs"] + 1 / 60, 2)
        assert (point["n"], point["accuracy_mean"]) == (2, 0.91)
        assert point["accuracy_sd"] == pytest.approx(0.01414, abs=1e-5)
        assert point["overhead_share"] == 0.5
        assert point["config"]["precision"] == "float32"
    shown = capsys.readouterr().out
    assert json.dumps(report["speedup"]) in shown
    assert "accuracy_mean" in shown
