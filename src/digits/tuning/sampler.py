"""Draws trials: some by Optuna's TPE, the others by a few changes of one of the best trials so far."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

_LEARNED_FROM = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)


class SearchSampler(BaseSampler):
    """TPE beside mutations: near what is known to be good first, then wherever the trials have shown promise.

    TPE: J. Bergstra et al. (2011), Algorithms for hyper-parameter optimization, NeurIPS, section 4. Mutations: as in
    the evolution of E. Real et al. (2019), Regularized evolution for image classifier architecture search, AAAI,
    section 3, but of several dimensions at once. `make bench-samplers` compares shares on
    three tables of trials (docs/experiments/tuning.md).

    mutations: share of the trials, 0 to 1. parents: number of best trials that are mutated. change: share of the
    dimensions that a mutation changes.
    """

    def __init__(self, seed: int, mutations: float = 0.5, parents: int = 3, change: float = 0.1, tpe_from: int = 10):
        self._generator = np.random.default_rng(seed)
        self._tpe = TPESampler(  # conditional dimensions need `group`
            n_startup_trials=tpe_from, multivariate=True, group=True, constant_liar=True, seed=seed
        )
        self._mutations, self._parents, self._change, self._tpe_from = mutations, parents, change, tpe_from

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All dimensions of earlier trials."""
        return self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values of the trial's dimensions, as far as earlier trials had them."""
        known = [
            each
            for each in study.get_trials(deepcopy=False, states=_LEARNED_FROM)
            if each.params and each.intermediate_values
        ]
        drawn = self._generator.random() < self._mutations
        if not search_space or not known or not (drawn or len(known) < self._tpe_from):
            return self._tpe.sample_relative(study, trial, search_space)
        return self._mutated(known, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value of a dimension that the parent did not have, at random."""
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """As TPE needs it."""
        self._tpe.after_trial(study, trial, state, values)

    def _mutated(self, known: list[FrozenTrial], search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        """One of the best trials with some dimensions changed, at least one."""
        best = self._best(known)
        parent = best[int(self._generator.integers(len(best)))]
        names = [name for name in parent.params if name in search_space]
        if not names:
            return {}
        changed = self._generator.random(len(names)) < self._change
        changed[self._generator.integers(len(names))] = True
        return {
            name: self._changed(search_space[name], parent.params[name]) if change else parent.params[name]
            for name, change in zip(names, changed, strict=True)
        }

    def _best(self, known: list[FrozenTrial]) -> list[FrozenTrial]:
        """The best trials after the longest fits that enough trials have had: a few long fits say little."""
        steps = sorted({step for trial in known for step in trial.intermediate_values}, reverse=True)
        fitted = [[trial for trial in known if step in trial.intermediate_values] for step in steps]
        number = next((at for at, trials in enumerate(fitted) if len(trials) > self._parents), len(steps) - 1)
        by_value = sorted(fitted[number], key=lambda trial: trial.intermediate_values[steps[number]], reverse=True)
        return by_value[: self._parents]

    def _changed(self, distribution: BaseDistribution, value: Any) -> Any:
        """Another value of a dimension: a neighbour, or any other one where there is no order."""
        generator = self._generator
        if isinstance(distribution, CategoricalDistribution):
            choices = distribution.choices
            at = choices.index(value)
            others = [each for number, each in enumerate(choices) if number != at]
            if all(isinstance(each, int | float) and not isinstance(each, bool) for each in choices):
                others = [choices[near] for near in (at - 1, at + 1) if 0 <= near < len(choices)]
            return others[int(generator.integers(len(others)))]
        assert isinstance(distribution, IntDistribution | FloatDistribution)
        low, high = distribution.low, distribution.high
        if isinstance(distribution, IntDistribution):
            steps = [near for near in (value - 1, value + 1) if low <= near <= high]
            return steps[int(generator.integers(len(steps)))]
        step = distribution.step
        if step:
            steps = [near for near in (value - step, value + step) if low - step / 2 < near < high + step / 2]
            return min(max(round(steps[int(generator.integers(len(steps)))], 10), low), high)
        scale = np.log if distribution.log else float
        start, end = float(scale(low)), float(scale(high))
        moved = float(scale(value)) + generator.normal(0, 0.2 * (end - start))
        kept = min(max(moved, start), end)
        return min(max(float(np.exp(kept)) if distribution.log else kept, low), high)
