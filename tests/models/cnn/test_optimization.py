"""Optimizers and learning-rate schedules by their names in params.yaml."""

from typing import Any, get_args

import numpy as np
import pytest

from digits.config.networks import OtherName
from digits.models.cnn.libraries import keras
from digits.models.cnn.optimization import make_optimizer, make_schedule, one_cycle
from toy_networks import IMAGES, LABELS, LIMITS, NO_AUGMENTATION, SGD, fit_toy

pytestmark = pytest.mark.slow

CLASSES = {
    "rmsprop": "RMSprop", "adagrad": "Adagrad", "adadelta": "Adadelta", "adam": "Adam", "adamax": "Adamax",
    "nadam": "Nadam", "adamw": "AdamW", "lion": "Lion", "muon": "Muon", "schedule-free-adamw": "ScheduleFreeAdamW",
}  # fmt: skip


def optimizer(name: dict[str, Any], rate: Any = 0.1, **changes: Any) -> Any:
    return make_optimizer(name, rate, **LIMITS | changes)


NAMES = ["sgd", *get_args(OtherName)]
# with the scale of float16, which a limit on the gradient and a decay of the weights must not see
LIMITED = {"precision": "mixed_float16", "clipnorm": 1.0, "weight_decay": 0.001}


@pytest.mark.parametrize("changes", [{}, LIMITED], ids=["float32", "float16, clipnorm and weight decay"])
@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_of_params_exists_and_learns(
    name: str, changes: dict[str, Any], toy_spec: dict[str, Any]
) -> None:
    chosen = SGD if name == "sgd" else {"name": name}
    assert type(optimizer(chosen)).__name__ == CLASSES.get(name, "SGD")
    rate = {"adadelta": 1.0, "adagrad": 0.1, "lion": 0.002}.get(name, 0.02)
    toy_spec |= {"epochs": 8, "layers": "MP2 16", "augment": NO_AUGMENTATION, **changes}
    model = fit_toy(toy_spec, optimizer=chosen, learning_rate=rate)
    assert (model.predict_proba(IMAGES).argmax(axis=1) == LABELS).mean() > 0.8


def test_parameters_reach_the_optimizer() -> None:
    sgd = optimizer(SGD, 0.01, clipnorm=1.5, weight_decay=0.02)
    assert (sgd.momentum, sgd.nesterov, sgd.clipnorm, sgd.weight_decay) == (0.9, True, 1.5, 0.02)
    assert optimizer({"name": "adam"}, clipvalue=0.5).clipvalue == 0.5
    muon = optimizer({"name": "muon"}, weight_decay=0.1)
    assert (muon.weight_decay, muon.adam_weight_decay) == (0.1, 0.1)
    assert optimizer({"name": "adamw"}).weight_decay == keras.optimizers.AdamW().weight_decay


def test_one_cycle_rises_to_its_peak_and_falls_to_zero() -> None:
    schedule = one_cycle(peak=0.01, warmup=0.25, steps=100)
    rates = [float(schedule(step)) for step in range(100)]
    assert rates[0] == pytest.approx(0.001)
    assert max(rates) == rates[25] == pytest.approx(0.01)
    assert rates[-1] < 1e-5
    assert rates[:26] == sorted(rates[:26])
    assert rates[25:] == sorted(rates[25:], reverse=True)


def test_schedules_are_what_their_names_say() -> None:
    steps = np.arange(101)
    inverse = make_schedule({"kind": "inverse-time", "decay": 0.1}, 0.2, 100)
    assert np.allclose([float(inverse(step)) for step in steps], 0.2 / (1 + 0.1 * steps), rtol=1e-5)
    cosine = make_schedule({"kind": "cosine"}, 0.2, 100)
    assert np.allclose([float(cosine(step)) for step in steps], 0.1 * (1 + np.cos(np.pi * steps / 100)), atol=1e-6)
    assert make_schedule({"kind": "constant"}, 0.2, 100) == 0.2
