"""However many images there are, the plan's fits end in time, and no worker idles."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from digits.common.console import Console
from digits.config import Paths, load_params
from digits.data.dataset import Dataset
from digits.models.architecture import parse_layers, training_operations
from digits.training.allocation import best_share, shares
from digits.training.budget import make_plan
from digits.training.device import Device
from digits.training.schedule import Fit, Sizes, Timing, fit_seconds
from toys import ROOT

SECONDS = 0.94 * 300  # planned of a budget of five minutes


def data_of(images: int, test_images: int = 28_000) -> Dataset:
    """A data set of so many labelled images, all black, that takes hardly any memory: 5 folds and a tenth held out."""
    folds = (np.arange(images) % 10 // 2).astype(np.int8)
    folds[::10] = -1
    about: dict[str, Any] = {"provenance": "local", "image_shape": [28, 28], "channels": 1, "classes": 10, "hash": "x"}
    black, labels, ids = np.zeros((1, 784), np.uint8), np.arange(images) % 10, np.arange(test_images)
    pixels = (np.broadcast_to(black, (count, 784)) for count in (images, test_images))
    return Dataset(Path(), next(pixels), labels, folds, next(pixels), ids, about)


@pytest.mark.parametrize(
    ("images", "workers"),
    [(1000, 2), (10_000, 2), (42_000, 2), (100_000, 2), (714_000, 1), (714_000, 2), (714_000, 8), (10_000_000, 2)],
)
def test_any_number_of_images_is_planned_within_the_budget(
    tmp_path: Path, images: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that trains 1,000 images a second with the smallest network, and predicts 7,000."""

    def timing(data: Dataset, run: Any, *_: object) -> Timing:
        return Timing(6, 1e-3, 1.4e-4).slower(int(run.model["layers"].split("C")[0]) / 24)

    monkeypatch.setattr("digits.training.budget.measured_timing", timing)
    data, device = data_of(images), Device("CPU", 0, "float32", 128, 1, 1.0, workers)
    params = load_params(ROOT / "params.yaml", ["train.extra=[]"])
    plan = make_plan(params, data, device, Paths(tmp_path), Console(plain=True))
    [part] = plan.parts
    schedule = plan.schedule(part, tmp_path, SECONDS)
    assert max(each.end for each in schedule) <= SECONDS
    assert [each.start for each in schedule].count(0) == workers, "a worker has nothing to do"
    assert {each.fit.fold for each in schedule} >= {0, None}
    busy = sum(each.end - each.start for each in schedule) / workers / SECONDS
    assert busy > 0.65
    assert plan.sampled == (plan.least > 5), "a sample where all images have time, or none where they do not"
    assert plan.sampled == (images >= 714_000)
    assert plan.sizes.refit == len(plan.data.train_rows(None))
    if plan.sampled:
        assert part.goal.epochs >= 3
        assert plan.sizes.fold >= 10_000, "more images have time"
        assert {run.data for run in plan.alternatives} == {plan.data.hash, data.hash}


CARDS = Device("Tesla T4", 2, "mixed_float16", 128, 1, 3.0, 4, jit_compile=True)
CORES = Device("CPU", 0, "mixed_bfloat16", 128, 1, 2.0, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "speed", "minutes", "networks"),
    [
        (CORES, 1e11, 5, ["medium"]),  # two cores with AVX512-BF16
        (CORES, 1e11, 600, ["medium", "deep"]),
        (CARDS, 2.5e12, 5, ["medium"]),  # of each of two fits on a card
        (CARDS, 2.5e12, 30, ["medium", "deep", "ten-convolutions"]),
    ],
)
def test_a_larger_network_joins_only_where_a_device_has_time_for_it(
    device: Device, speed: float, minutes: float, networks: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On devices of `speed` operations per second and fit."""

    def timing(data: Dataset, run: Any, *_: object) -> Timing:
        operations = training_operations(parse_layers(run.model["layers"]), data.image_shape, data.classes)
        assert run.model["jit_compile"] == bool(device.gpus)
        return Timing(6, operations / speed, operations / speed / 3)

    monkeypatch.setattr("digits.training.budget.measured_timing", timing)
    params = load_params(ROOT / "params.gpu.yaml", [f"train.budget={minutes}"])
    plan = make_plan(params, data_of(42_000), device, Paths(tmp_path), Console(plain=True))
    assert [part.name for part in plan.parts] == networks
    assert (plan.error is None) == ("ten-convolutions" in networks), "no score is promised of what was not measured"
    for part in plan.parts:
        schedule = plan.schedule(part, tmp_path, part.seconds)
        assert max(each.end for each in schedule) <= part.seconds + 1
        assert [each.start for each in schedule].count(0) == device.parallel_fits, "a worker has nothing to do"


@settings(deadline=None, max_examples=300)
@example(images=514_000, per_second=1000.0, start=6.0, seconds=SECONDS)
@given(
    images=st.integers(1000, 10_000_000),
    per_second=st.floats(100, 20_000),
    start=st.floats(0, 20),
    seconds=st.floats(10, 3600),
)
def test_a_sample_is_as_large_as_the_time_allows(images: int, per_second: float, start: float, seconds: float) -> None:
    """Within what halving its size again and again can reach."""
    timing = Timing(start, 1 / per_second, 0)

    def least(share: int) -> float:
        return fit_seconds_of(images // share, timing)

    share = best_share(least, seconds, images)
    assert share in shares(images)
    assert (share == 1) == (least(1) <= seconds or len(shares(images)) == 1)
    assume(share != shares(images)[-1])
    assert least(share) <= seconds
    if share > 1:
        assert least(1) > seconds
        assert start + (least(share) - start) * 16 > seconds, "twice as many images have time for four epochs, too"
        assert start + (least(share) - start) * 3.9 <= seconds


def fit_seconds_of(images: int, timing: Timing) -> float:
    """Seconds of an epoch."""
    return fit_seconds(Fit(0, 1, 0), timing, Sizes(images, images, 0))
