"""How long a network takes is measured once, where the fits will be."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from digits.common.console import Console
from digits.common.errors import UserError
from digits.config import CnnSpec, Params
from digits.data.dataset import Dataset
from digits.models import OnEpoch, TaskSpec, build
from digits.training import timing
from digits.training.device import Device
from digits.training.runs import run_spec
from digits.training.timing import measured_timing

pytestmark = pytest.mark.slow

CONSOLE = Console(plain=True)
DEVICE = Device("CPU", 0, "float32", 16, 1, 1.0, 2)


def test_a_timing_is_measured_once(toy_data: Dataset, toy_params: Params, tmp_path: Path) -> None:
    model = DEVICE.resolve(toy_params.train.spec).model_dump(mode="json")
    others = {"epochs": 9, "learning_rate": 0.1, "augment": model["augment"] | {"rotation": 1.0}}
    run, longer = (run_spec("cnn", model | changed, "/255", 0, toy_data) for changed in ({}, others))
    found = measured_timing(toy_data, run, DEVICE, tmp_path / "m", CONSOLE)
    assert found.start > 0
    assert 0 < found.per_prediction < found.per_image < 0.1
    [kept] = (tmp_path / "m").glob("*.json")
    written = kept.stat().st_mtime_ns
    assert measured_timing(toy_data, longer, DEVICE, tmp_path / "m", CONSOLE) == found
    assert kept.stat().st_mtime_ns == written
    assert [*kept.parent.glob("*.json")] == [kept]


def test_a_timing_is_measured_where_the_fits_will_be(
    toy_data: Dataset, toy_params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each on its GPU; with what needs images to look at, too; and anew for other GPUs, or other numbers of them."""
    asked: list[str | None] = []

    def measured(task: timing._Task, _: threading.Event) -> dict[str, float]:
        asked.append(task.gpu)
        return {"start": 1.0, "per_image": 0.1, "per_prediction": 0.1}

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    model = DEVICE.resolve(toy_params.train.spec).model_dump(mode="json") | {
        "early_stopping_patience": 1,
        "restore_best_weights": True,
    }
    run = run_spec("cnn", model, "/255", 0, toy_data)
    assert measured_timing(toy_data, run, DEVICE, tmp_path, CONSOLE).per_image > 0
    monkeypatch.setattr(timing, "_measure_in_subprocess", measured)
    for device in ("H100", "T4", "T4"):
        measured_timing(toy_data, run, replace(DEVICE, name=device, gpus=2, parallel_fits=2), tmp_path, CONSOLE)
    assert sorted(map(str, asked)) == ["0", "0", "1", "1"]
    asked.clear()
    for gpus, fits in ((1, 2), (2, 4)):
        measured_timing(toy_data, run, replace(DEVICE, name="T4", gpus=gpus, parallel_fits=fits), tmp_path, CONSOLE)
    assert sorted(map(str, asked)) == ["0", "0", *["0"] * 2, *["1"] * 2]


def test_colours_have_a_timing_of_their_own(
    toy_data: Dataset, coloured_data: Dataset, toy_params: Params, tmp_path: Path
) -> None:
    model = DEVICE.resolve(toy_params.train.spec).model_dump(mode="json")
    for data in (toy_data, coloured_data):
        run = run_spec("cnn", model, "/255", 0, data)
        assert measured_timing(data, run, DEVICE, tmp_path / "m", CONSOLE).per_image > 0
    assert len([*(tmp_path / "m").glob("*.json")]) == 2


class Machine:
    """Its clocks go on by a share of a second from one epoch to the next, and by other programs' share of the time."""

    def __init__(self, others: float, monkeypatch: pytest.MonkeyPatch):
        self.others, self.epochs, self.models = others, 0, list[Any]()
        monkeypatch.setattr(timing, "perf_counter", lambda: self.processor() / (1 - self.others))
        monkeypatch.setattr(timing, "process_time", self.processor)
        monkeypatch.setattr(timing, "build", self.built)

    def processor(self) -> float:
        return self.epochs * 0.5

    def built(self, model: dict[str, Any], task: TaskSpec, seed: int, on_epoch: OnEpoch) -> Any:
        def ended(*epoch: Any) -> None:
            self.epochs += 1
            on_epoch(*epoch)

        self.models.append(build(model, task, seed, ended))
        return self.models[-1]

    def measured(self, data: Dataset, model: dict[str, Any], gpu: str | None = None) -> float:
        """Seconds per epoch."""
        told: list[dict[str, float]] = []
        timing._measure(timing._Task(data.folder, model | {"epochs": 50}, "/255", gpu), told.append)
        used = len(data.working_rows) // 16 * 16
        return told[0]["per_image"] * min(used, 16 * timing._STEPS)


@pytest.fixture
def one_thread(toy_spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A network for one thread, whatever this process computes with."""
    monkeypatch.setattr("digits.models.cnn.classifier.set_threads", lambda _: None)
    monkeypatch.setattr(timing, "use_gpu", lambda _: None)
    return DEVICE.resolve(CnnSpec.model_validate(toy_spec)).model_dump(mode="json") | {"threads": 1}


@pytest.mark.parametrize(
    ("gpu", "threads", "expected"), [(None, 1, 0.5), (None, 2, 1.0), ("0", 1, 1.0)], ids=["one", "two", "gpu"]
)
def test_the_time_of_other_programs_does_not_count_for_one_thread(
    gpu: str | None,
    threads: int,
    expected: float,
    toy_data: Dataset,
    one_thread: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Several threads wait for each other too, and all for a GPU, so of them the time that passes counts."""
    machine = Machine(0.5, monkeypatch)
    assert machine.measured(toy_data, one_thread | {"threads": threads}, gpu) == pytest.approx(expected)


def test_epochs_end_when_they_agree_and_on_a_slow_machine_sooner(
    toy_data: Dataset, one_thread: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(0.0, monkeypatch)
    machine.measured(toy_data, one_thread)
    monkeypatch.setattr(timing, "_ENOUGH", 0.1)
    machine.measured(toy_data, one_thread)
    assert [len(fitted.history_) for fitted in machine.models] == [7, 2]


def test_a_timing_that_takes_too_long_is_an_error(
    toy_data: Dataset, one_thread: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "_TIMEOUT", 0.01)
    run = run_spec("cnn", one_thread, "/255", 0, toy_data)
    with pytest.raises(UserError, match=r"train: the speed test of 4C3 MP2 8 took longer than 0 s; .*network=default"):
        measured_timing(toy_data, run, DEVICE, tmp_path, CONSOLE)
    assert not list(tmp_path.glob("timing-*"))


def test_a_network_that_cannot_be_fitted_is_named(toy_data: Dataset, toy_params: Params, tmp_path: Path) -> None:
    model = DEVICE.resolve(toy_params.train.spec).model_dump(mode="json") | {"learning_rate": 1e30}
    with pytest.raises(UserError, match="train: 4C3 MP2 8 cannot be fitted here: the loss became"):
        measured_timing(toy_data, run_spec("cnn", model, "/255", 0, toy_data), DEVICE, tmp_path, CONSOLE)
