"""The time that is kept for the confirmation, and who its candidates are."""

from types import SimpleNamespace
from typing import Any

import optuna
import pytest

from digits.common.executors import Processes
from digits.config import Params
from digits.data.dataset import Dataset
from digits.tuning.confirmation import fit_checksum, missing_fits
from digits.tuning.records import with_checksum
from digits.tuning.session import Session
from digits.tuning.verdict import CandidateFit
from toy_search import plan, result


def session(params: Params, data: Dataset, **tune: object) -> Session:
    changed = params.model_copy(update={"tune": params.tune.model_copy(update=tune)})
    origin: Any = SimpleNamespace(name="default")
    studies = optuna.create_study(), optuna.create_study()
    return Session(changed, data, origin, {}, plan(), 2, *studies, Processes([None]))


def tried(to: Session, **attributes: Any) -> None:
    """A trial that was fitted at the highest rung."""
    fits = [result(0.9, rung) for rung in range(3)]
    attributes = {"overrides": "{}", **attributes}
    to.searched.add_trial(
        optuna.create_trial(value=0.9, user_attrs={"results": with_checksum(attributes, fits), **attributes})
    )


def test_the_search_leaves_the_time_for_all_confirming_fits_which_have_seeds_of_their_own(
    toy_params: Params, toy_data: Dataset
) -> None:
    long = session(toy_params, toy_data, finalists=3, seeds=2, budget=1000.0)
    accuracies: dict[CandidateFit, float] = {}
    names = ["default", "a", "b", "c"]
    while missing := missing_fits(accuracies, names, long.seeds(), range(toy_data.fold_count)):
        accuracies |= {fit: 0.8 if fit.candidate == "default" else 0.9 for fit in missing}
    assert long.seconds_to_confirm() == pytest.approx(len(accuracies) * 16.0 / 2)
    assert toy_params.train.seed not in {fit.seed for fit in accuracies}  # which the trials were fitted from
    short = session(toy_params, toy_data, finalists=3, seeds=2, budget=0.1)
    assert short.seconds_to_confirm() == pytest.approx(3.0), "at most half of the minutes"


def confirmed(by: Session, fit: CandidateFit, accuracy: float) -> None:
    """A fit of the confirmation that is done."""
    fitted = f'[{fit.seed}, {fit.fold}, "{fit.candidate}"]'
    attributes = {"fit": fitted, "checksum": fit_checksum({"fit": fitted}, accuracy)}
    by.confirmation.add_trial(optuna.create_trial(value=accuracy, user_attrs=attributes))


def test_who_is_judged_is_judged_to_the_end_and_then_no_candidate_any_more(
    toy_params: Params, toy_data: Dataset
) -> None:
    """So the next round judges the next best, and a command that goes on later picks nobody else before that."""
    one = session(toy_params, toy_data, finalists=2, seeds=1, budget=1e-6)  # whose time is over
    tried(one, name="default")
    for width in (1, 2, 3):
        tried(one, overrides=f'{{"hidden_layer_sizes": [{width}]}}')
    assert [*one.candidates()] == ["default", "trial-1", "trial-2"]
    accuracies: dict[CandidateFit, float] = {}
    picked = {"default": 0.8, "trial-1": 0.9, "trial-2": 0.7}  # trial-2 is settled by that
    while missing := missing_fits(accuracies, [*picked], one.seeds(), one.folds):
        accuracies |= {fit: picked[fit.candidate] for fit in missing}
    *fits, last = accuracies.items()
    for fit, accuracy in fits:
        confirmed(one, fit, accuracy)
        if fit.fold != 0 and fit.candidate == "trial-1":
            assert [*one.candidates()] == ["default", "trial-1"]
        assert not one.is_final()
    confirmed(one, *last)
    assert [*one.candidates()] == ["default", "trial-3"]
    assert one.is_final()
