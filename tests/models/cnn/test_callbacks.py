"""Validation, history, plateau and early stopping."""

from typing import Any

import numpy as np
import pytest

from digits.evaluation.metrics import accuracy, log_loss
from toy_networks import IMAGES, LABELS, NO_AUGMENTATION, build_toy, fit_toy, fit_validated

pytestmark = pytest.mark.slow


def test_validation_is_recorded_and_changes_nothing(toy_spec: dict[str, Any]) -> None:
    validated, other = fit_validated(toy_spec, layers="4C3 BN 8 D0.2"), fit_toy(toy_spec, layers="4C3 BN 8 D0.2")
    assert np.array_equal(validated.predict_proba(IMAGES), other.predict_proba(IMAGES))
    validated.temperature_ = 1.0  # as during training
    last = validated.predict_proba(IMAGES[180:])
    assert validated.history_[-1]["valid_accuracy"] == accuracy(last, LABELS[180:]).value
    assert validated.history_[-1]["valid_loss"] == pytest.approx(log_loss(last, LABELS[180:]))


def test_a_fit_validates_five_times_at_most_unless_something_depends_on_it(toy_spec: dict[str, Any]) -> None:
    def validated(**changes: Any) -> list[int]:
        history = fit_validated(toy_spec, layers="8", **changes).history_
        return [epoch for epoch, record in enumerate(history, start=1) if "valid_loss" in record]

    assert validated(epochs=5) == [1, 2, 3, 4, 5]
    assert validated(epochs=10) == [2, 4, 6, 8, 10]
    assert validated(epochs=11) == [2, 5, 8, 11]
    assert validated(epochs=7, early_stopping_patience=7) == [*range(1, 8)]


def test_a_plateau_lowers_the_learning_rate(toy_spec: dict[str, Any]) -> None:
    """At a learning rate near 0 nothing improves: it is halved after every second epoch."""
    schedule = {"kind": "plateau", "factor": 0.5, "patience": 2}
    model = fit_validated(toy_spec, schedule=schedule, learning_rate=1e-12, epochs=8)
    rates = [record["learning_rate"] for record in model.history_]
    assert rates == pytest.approx([1e-12 * 0.5 ** max(0, (epoch - 1) // 2) for epoch in range(8)], rel=1e-4)


def shortened(spec: dict[str, Any], answers: dict[int, int | None], **changes: Any) -> tuple[Any, list[int]]:
    """A network, fitted, and the epochs that it meant to have after each; answers: of on_epoch, by epoch from 1."""
    totals: list[int] = []

    def on_epoch(epoch: int, epochs: int, _: dict[str, float]) -> int | None:
        totals.append(epochs)
        return answers.get(epoch, epochs)

    return build_toy(spec | {"layers": "8"} | changes, on_epoch=on_epoch).fit(IMAGES[:180], LABELS[:180]), totals


@pytest.mark.parametrize("schedule", [{"kind": "one-cycle", "warmup": 0.25}, {"kind": "cosine"}])
def test_a_shortened_fit_passes_all_that_is_left_of_its_schedule(
    toy_spec: dict[str, Any], schedule: dict[str, Any]
) -> None:
    toy_spec |= {"epochs": 10, "schedule": schedule, "learning_rate": 0.01}
    whole, _ = shortened(toy_spec, {})
    rates = [record["learning_rate"] for record in whole.history_]
    model, totals = shortened(toy_spec, {4: 7})  # six epochs' course in three
    assert totals == [10, 10, 10, 10, 7, 7, 7]
    assert [record["learning_rate"] for record in model.history_] == pytest.approx([*rates[:4], *rates[5::2]], abs=1e-8)
    assert model.history_[-1]["learning_rate"] < 1e-8
    # ten asked for at the end are too late, and twenty are more than were planned
    model, totals = shortened(toy_spec, {4: 7, 6: 20, 8: 9, 9: 10})
    assert totals == [10, 10, 10, 10, 7, 7, 10, 10, 9]
    assert model.history_[-1]["learning_rate"] < 1e-8


@pytest.mark.parametrize("kind", ["one-cycle", "cosine", "constant"])
def test_a_fit_that_could_have_been_shortened_has_the_bits_of_one_that_could_not(
    toy_spec: dict[str, Any], kind: str
) -> None:
    toy_spec |= {"epochs": 3, "schedule": {"kind": kind} | ({"warmup": 0.25} if kind == "one-cycle" else {})}
    model, _ = shortened(toy_spec, {})
    other = fit_toy(toy_spec, layers="8")
    for one, two in zip(model.model_.get_weights(), other.model_.get_weights(), strict=True):
        assert np.array_equal(one, two)


@pytest.mark.parametrize("schedule", [{"kind": "constant"}, {"kind": "inverse-time", "decay": 0.1}])
def test_a_schedule_without_an_end_just_ends(toy_spec: dict[str, Any], schedule: dict[str, Any]) -> None:
    toy_spec |= {"epochs": 6, "schedule": schedule}
    model, totals = shortened(toy_spec, {2: 4})
    assert totals == [6, 6, 4, 4]
    whole, _ = shortened(toy_spec, {})
    assert model.history_ == whole.history_[:4]


def test_early_stopping_and_the_best_weights(toy_spec: dict[str, Any]) -> None:
    """The training labels are wrong for the validation images, whose loss rises with every epoch."""
    toy_spec |= {"layers": "64", "augment": NO_AUGMENTATION, "learning_rate": 0.002, "epochs": 5}
    toy_spec |= {"schedule": {"kind": "constant"}}

    def losses_and_end(**changes: Any) -> Any:
        model = build_toy(toy_spec, **changes)
        model.fit(IMAGES[:180], (LABELS[:180] + 1) % 3, IMAGES[180:], LABELS[180:])
        model.temperature_ = 1.0
        end = log_loss(model.predict_proba(IMAGES[180:]), LABELS[180:])
        return [record["valid_loss"] for record in model.history_], end

    losses, end = losses_and_end()
    assert len(losses) == 5
    assert losses == sorted(losses)
    assert end == pytest.approx(losses[-1])
    best: dict[str, Any] = {"restore_best_weights": True}
    patience: dict[str, Any] = {"early_stopping_patience": 3}
    assert losses_and_end(**best) == (losses, pytest.approx(losses[0]))
    assert losses_and_end(**patience) == (losses[:4], pytest.approx(losses[3]))
    assert losses_and_end(**patience, **best) == (losses[:4], pytest.approx(losses[0]))


@pytest.mark.parametrize("change", [{"early_stopping_patience": 3}, {"restore_best_weights": True}])
def test_early_stopping_needs_validation_images(toy_spec: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="need validation images"):
        fit_toy(toy_spec, **change)
