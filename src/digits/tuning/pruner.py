"""Which trials go on to the next rung: the best, and no more than their share."""

import numpy as np
import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState


class RationingPruner(BasePruner):
    """Asynchronous successive halving that decides once, when a fit ends, and rations the longer fits.

    After L. Li et al. (2020), A system for massively parallel hyperparameter tuning, MLSys, section 3. A trial goes on
    if it is among the best 1 / reduction_factor of those that had the same fit, and if no more of them than that share
    have gone on before it. So all rungs get the same time if each has reduction_factor times the seconds of the last.
    Without the ration, a search that gets better promotes half of its trials, for each new one is compared with older,
    worse ones. The best of all goes on in any case, but not if it is compared with none because earlier trials still
    run: that would be whatever began beside the origin and ends before it.
    """

    def __init__(self, reduction_factor: float):
        self._reduction_factor = reduction_factor

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether a trial ends after the fit that it has reported last."""
        step = trial.last_step
        if step is None:
            return False
        trials = [each for each in study.get_trials(deepcopy=False) if each.number != trial.number]
        others = [other for other in trials if step in other.intermediate_values]
        if not others:
            return any(each.number < trial.number and each.state == TrialState.RUNNING for each in trials)
        value, *values = (np.nan_to_num(each.intermediate_values[step], nan=-np.inf) for each in (trial, *others))
        better = sum(each > value for each in values)
        gone_on = sum(other.state == TrialState.RUNNING or (other.last_step or 0) > step for other in others)
        places = max(1, int((len(others) + 1) / self._reduction_factor))
        return bool(better > 0 and max(better, gone_on) >= places)
