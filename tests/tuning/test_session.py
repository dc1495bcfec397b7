"""What is decided before the first trial."""

import pytest

from digits.config import Params
from digits.training.device import Device
from digits.tuning.session import make_setup

CPU = Device("CPU", 0, "mixed_bfloat16", 256, 1, 1.9, 8)


def changed(params: Params, **tune: object) -> Params:
    return params.model_copy(update={"tune": params.tune.model_copy(update=tune)})


def test_a_search_for_a_baseline_asks_for_no_device(toy_params: Params) -> None:
    """Which would load TensorFlow."""
    setup = make_setup(changed(toy_params, model="small", space={}, workers=2), lambda: pytest.fail("it was measured"))
    assert setup.default == toy_params.baseline.models["small"].model_dump(mode="json")
    assert setup.plan.enqueue == {"default": {}}
    assert setup.plan.initial_point == {}
    assert (setup.plan.kind, setup.plan.rungs, setup.workers, setup.device_line) == ("mlp", (1, 4), 2, "")


@pytest.mark.parametrize(
    ("workers", "gpus", "expected", "threads"),
    [(2, 0, 2, 4), (4, 0, 4, 2), (0, 0, 8, 1), (0, 1, 1, 8), (3, 1, 3, 2), (0, 2, 1, 8)],
)
def test_trials_in_parallel_share_the_cores_and_one_has_a_gpu(
    params: Params, workers: int, gpus: int, expected: int, threads: int
) -> None:
    device = Device("GPU", gpus, "float32", 128, 8 // gpus, 1.0, gpus) if gpus else CPU
    setup = make_setup(changed(params, workers=workers), lambda: device)
    assert (setup.workers, setup.default["threads"]) == (expected, threads)
    assert (setup.default["precision"], setup.default["batch_size"]) == (device.precision, device.batch_size)
    assert [*setup.plan.enqueue] == ["default", *params.tune.enqueue]
    assert setup.plan.initial_point == params.tune.initial_point
    assert setup.plan.rungs == (1, 2, 6)
