"""How long a network takes is measured once, where the fits will be."""

import threading
from dataclasses import replace
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from digits.common.console import Console
from digits.common.errors import UserError
from digits.config import Params
from digits.data.dataset import Dataset
from digits.models import build
from digits.training import timing
from digits.training.device import Device
from digits.training.runs import run_spec
from digits.training.timing import measured_timing

pytestmark = pytest.mark.slow

CONSOLE = Console(plain=True)
DEVICE = Device("CPU", 0, "float32", 16, 2, 1.0)


def test_a_timing_is_measured_once(toy_data: Dataset, toy_params: Params, tmp_path: Path) -> None:
    model = DEVICE.resolve(toy_params.train.spec).model_dump(mode="json")
    run, longer = (run_spec("cnn", model | {"epochs": epochs}, "/255", 0, toy_data) for epochs in (2, 9))
    found = measured_timing(toy_data, run, DEVICE, tmp_path / "m", CONSOLE)
    assert found.start > 0
    assert 0 < found.per_prediction < found.per_image < 0.1
    [kept] = (tmp_path / "m").iterdir()
    written = kept.stat().st_mtime_ns
    assert measured_timing(toy_data, longer, DEVICE, tmp_path / "m", CONSOLE) == found
    assert kept.stat().st_mtime_ns == written
    assert [*kept.parent.iterdir()] == [kept]


def test_a_timing_is_measured_where_the_fits_will_be(
    toy_data: Dataset, toy_params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each on a GPU of its own; with what needs images to look at, too; and anew where the GPUs are others."""
    asked: list[str | None] = []

    def measured(task: timing._Task, _: threading.Event) -> tuple[dict[str, float], float]:
        asked.append(task.gpu)
        return {"start": 1.0, "per_image": 0.1, "per_prediction": 0.1}, inf

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    model = DEVICE.resolve(toy_params.train.spec).model_dump(mode="json") | {
        "early_stopping_patience": 1,
        "restore_best_weights": True,
    }
    run = run_spec("cnn", model, "/255", 0, toy_data)
    assert measured_timing(toy_data, run, DEVICE, tmp_path, CONSOLE).per_image > 0
    monkeypatch.setattr(timing, "_measure_in_subprocess", measured)
    for device in ("H100", "T4", "T4"):
        measured_timing(toy_data, run, replace(DEVICE, name=device, gpus=2), tmp_path, CONSOLE)
    assert sorted(map(str, asked)) == ["0", "0", "1", "1"]


def test_a_slow_machine_is_not_watched_for_longer_than_needed(
    toy_data: Dataset, toy_params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: list[Any] = []

    def built(*given: Any) -> Any:
        models.append(build(*given))
        return models[-1]

    monkeypatch.setattr("digits.training.timing.build", built)
    model = DEVICE.resolve(toy_params.train.spec).model_dump(mode="json") | {"epochs": 5}
    told: list[tuple[dict[str, float], float]] = []
    for enough in (0.0, 60.0):
        monkeypatch.setattr("digits.training.timing._ENOUGH", enough)
        timing._measure(timing._Task(toy_data.folder, model, "/255"), told.append)
    assert [len(fitted.history_) for fitted in models] == [2, 5]
    assert all(found["per_image"] > 0 and processors > 0 for found, processors in told)


@pytest.mark.parametrize(("gpu", "share", "warns"), [(None, 0.5, True), (None, 1.0, False), ("0", 0.5, False)])
def test_a_timing_that_other_programs_slowed_down_says_so(
    gpu: str | None,
    share: float,
    warns: bool,
    toy_data: Dataset,
    toy_params: Params,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A GPU is waited for, so there the processor's time says nothing."""
    started = perf_counter()

    def measured(task: timing._Task, _: threading.Event) -> timing._Measured:
        told: list[timing._Measured] = []
        timing._measure(replace(task, gpu=gpu), told.append)
        return told[0]

    monkeypatch.setattr(timing, "use_gpu", lambda _: None)
    monkeypatch.setattr(timing, "process_time", lambda: share * (perf_counter() - started))
    monkeypatch.setattr(timing, "_measure_in_subprocess", measured)
    model = DEVICE.resolve(toy_params.train.spec).model_dump(mode="json")
    run, one = run_spec("cnn", model, "/255", 0, toy_data), replace(DEVICE, gpus=1)
    measured_timing(toy_data, run, one, tmp_path, Console(plain=True))
    assert (f"rm -r {tmp_path}" in capsys.readouterr().out.replace("\n", " ")) == warns


def test_a_network_that_cannot_be_fitted_is_named(toy_data: Dataset, toy_params: Params, tmp_path: Path) -> None:
    model = DEVICE.resolve(toy_params.train.spec).model_dump(mode="json") | {"learning_rate": 1e30}
    with pytest.raises(UserError, match="train: 4C3 MP2 8 cannot be fitted here: the loss became"):
        measured_timing(toy_data, run_spec("cnn", model, "/255", 0, toy_data), DEVICE, tmp_path, CONSOLE)
