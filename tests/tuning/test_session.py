"""What is decided before the first trial, and the time that is kept for the confirmation."""

import optuna
import pytest

from digits.config import Params
from digits.data.dataset import Dataset
from digits.training.device import Device
from digits.tuning.confirmation import missing_fits
from digits.tuning.session import Session, make_setup
from digits.tuning.verdict import CandidateFit
from toy_search import result

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


def test_the_search_leaves_the_time_for_all_confirming_fits_which_have_seeds_of_their_own(
    toy_params: Params, toy_data: Dataset
) -> None:
    params = changed(toy_params, model="small", space={}, workers=2, finalists=3, seeds=2, budget=1000.0)
    setup = make_setup(params, lambda: pytest.fail("it was measured"))
    session = Session(params, toy_data, setup, optuna.create_study(), optuna.create_study())
    full = {"results": [result(0.9, epochs, seconds=10.0) for epochs in setup.plan.rungs]}
    session.searched.add_trial(optuna.create_trial(value=0.9, user_attrs=full))
    accuracies: dict[CandidateFit, float] = {}
    names = ["default", "a", "b", "c"]
    while missing := missing_fits(accuracies, names, session.seeds(), range(toy_data.fold_count)):
        accuracies |= {fit: 0.8 if fit.candidate == "default" else 0.9 for fit in missing}
    kept = session.seconds_left() - session.seconds_to_search()
    assert kept == pytest.approx(len(accuracies) * 10.0 / 2)
    assert params.train.seed not in {fit.seed for fit in accuracies}  # which the trials were fitted from
