"""Records of trials: objective values, and the time that trials took."""

from datetime import datetime, timedelta
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from digits.tuning.records import objective_value, spent_seconds
from toy_search import result


def test_the_log_loss_decides_and_not_a_few_images() -> None:
    lower, higher = result(0.99, 0) | {"log_loss": 0.05}, result(0.991, 0) | {"log_loss": 0.06}
    assert objective_value(lower) > objective_value(higher)


def test_only_the_time_in_which_something_ran_is_spent() -> None:
    study, other = optuna.create_study(), optuna.create_study()
    noon = datetime(2026, 1, 1, 12)  # noqa: DTZ001 - Optuna's times have no zone

    def add(to: optuna.Study, first: float, last: float | None, state: TrialState, **attributes: Any) -> None:
        trial = optuna.create_trial(
            state=state, value=1.0 if state == TrialState.COMPLETE else None, user_attrs=attributes
        )
        trial.datetime_start = noon + timedelta(seconds=first)
        trial.datetime_complete = None if last is None else noon + timedelta(seconds=last)
        to.add_trial(trial)

    add(study, 0, 10, TrialState.COMPLETE)
    add(other, 5, 12, TrialState.COMPLETE)  # in parallel
    add(study, 20, 25, TrialState.PRUNED)
    add(study, 30, 33, TrialState.FAIL, cause="died")
    add(study, 40, 9000, TrialState.FAIL)  # killed with its command, noticed hours later
    add(other, 50, None, TrialState.RUNNING, driver="a command")
    add(other, -9000, None, TrialState.RUNNING)  # its command was killed before it began it
    assert spent_seconds([study, other], (noon + timedelta(seconds=54)).timestamp()) == pytest.approx(12 + 5 + 3 + 4)
