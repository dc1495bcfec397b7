"""The pruner: the best go on, and no more than their share."""

import numpy as np
import optuna
import pytest

from digits.tuning.pruner import RationingPruner

REDUCTION_FACTOR = 4


def gone_on(values: list[float]) -> list[bool]:
    """Whether each of some trials, one after the other, has gone on from its first fit to the second."""
    study = optuna.create_study(direction="maximize", pruner=RationingPruner(REDUCTION_FACTOR))
    for value in values:
        trial = study.ask()
        trial.report(value, 1)
        if not trial.should_prune():
            trial.report(value, REDUCTION_FACTOR)
        study.tell(trial, value)
    return [len(trial.intermediate_values) > 1 for trial in study.trials]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("trend", [0.0, 0.05, 0.2])
def test_one_in_four_goes_on_also_where_later_trials_are_better(seed: int, trend: float) -> None:
    generator = np.random.default_rng(seed)
    values = (trend * np.arange(100) + generator.normal(size=100)).tolist()
    found = gone_on(values)
    best = [value >= max(values[: number + 1]) for number, value in enumerate(values)]
    rationed = sum(went for went, record in zip(found, best, strict=True) if not record)
    assert rationed <= len(values) / REDUCTION_FACTOR
    assert all(went for went, record in zip(found, best, strict=True) if record)
    assert sum(found) >= 0.8 * len(values) / REDUCTION_FACTOR
    assert trend or np.mean(np.array(values)[found]) > np.mean(values) + 0.5


def test_a_fit_without_a_result_does_not_go_on() -> None:
    assert gone_on([0.5, float("nan"), 0.6]) == [True, False, True]


def test_a_trial_that_is_compared_with_none_does_not_go_on() -> None:
    """As the second one, where it ends before the origin, which goes on in any case."""
    study = optuna.create_study(direction="maximize", pruner=RationingPruner(REDUCTION_FACTOR))
    origin, second, third = study.ask(), study.ask(), study.ask()
    second.report(0.5, 1)
    assert second.should_prune()
    third.report(0.6, 1)
    assert not third.should_prune()
    origin.report(0.4, 1)
    third.report(0.6, REDUCTION_FACTOR)
    assert third.should_prune(), "the origin has no fit of this length yet"
    study.tell(origin, state=optuna.trial.TrialState.FAIL)
    study.tell(second, state=optuna.trial.TrialState.PRUNED)
    assert not third.should_prune()
