"""Samplers of `make tune`, compared by searches that cost no fit: a regression of measured trials answers for them.

benchmarks/trials.csv has the trials of real searches, each with its values and its log loss after the shortest fits.
Type `make bench-samplers`.
"""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import cross_val_predict

from digits.common.console import Console
from digits.models.distributions import Categorical, suggest
from digits.models.search_space import SPACES
from digits.tuning.sampler import SearchSampler

FILE = Path(__file__).with_name("trials.csv")
REPLAYS = 50
TRIALS = 80  # of a replay
AFTER = (10, 20, 40, 80)  # trials
SAMPLERS: Mapping[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: RandomSampler(seed=seed),
    "TPE, 10 random trials first": lambda seed: TPESampler(multivariate=True, group=True, seed=seed),
    **{
        f"mutations {share:.0%}, {change:.0%} of the dimensions": partial(SearchSampler, mutations=share, change=change)
        for share, change in ((0.0, 0.1), (0.5, 0.1), (0.75, 0.05), (0.75, 0.1), (0.75, 0.2), (1.0, 0.1))
    },
}


class Surrogate:
    """Answers what a trial's log loss would be: extremely randomised trees, fitted on the logarithms of measured ones.

    After K. Eggensperger et al. (2015), Efficient benchmarking of hyperparameter optimizers via surrogates, AAAI.
    explained: share of the variance of trials that the trees were not fitted on. noise: standard deviation of what
    they do not explain, of which half is taken to be noise of the fits.
    """

    def __init__(self, trials: pd.DataFrame):
        points: list[dict[Any, Any]] = [row.dropna().to_dict() for _, row in trials[[*SPACES["cnn"]]].iterrows()]
        features = np.array([*map(encoded, points)])
        target = np.log(trials["log_loss"].to_numpy())
        self._trees = ExtraTreesRegressor(60, min_samples_leaf=2, random_state=0, n_jobs=1)
        left = target - cross_val_predict(self._trees, features, target, cv=5)
        self.explained = 1 - left.var() / target.var()
        self.noise = float(left.std() / np.sqrt(2))
        self._trees.fit(features, target)

    def __call__(self, values: Mapping[str, Any]) -> float:
        """Log of the log loss."""
        return float(self._trees.predict([encoded(values)])[0])


def encoded(values: Mapping[str, Any]) -> list[float]:
    """Numbers for the trees: -1 where a dimension does not apply, places of choices, logarithms of log ranges."""
    numbers = []
    for name, dimension in SPACES["cnn"].items():
        distribution, value = dimension.distribution, values.get(name)
        if value is None:
            numbers.append(-1.0)
        elif isinstance(distribution, Categorical):
            numbers.append(float(distribution.choices.index(distribution.nearest(value))))
        else:
            numbers.append(float(np.log(float(value)) if distribution.log else float(value)))
    return numbers


def replay(
    sampler: BaseSampler, surrogate: Surrogate, start: dict[str, Any], seed: int, trials: int = TRIALS
) -> list[float]:
    """The log loss of the best trial after each number of trials, as the surrogate knows it without its noise."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.enqueue_trial(start)
    generator, best, found = np.random.default_rng(seed), (-np.inf, 0.0), []
    for _ in range(trials):
        trial = study.ask()
        true = surrogate(suggest(trial, SPACES["cnn"]))
        seen = -(true + generator.normal(0, surrogate.noise))
        trial.report(seen, 1)
        study.tell(trial, seen)
        best = max(best, (seen, true))
        found.append(float(np.exp(best[1])))
    return found


def main() -> None:
    """Print the mean log loss found by each sampler, with its standard deviation over the replays."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", ExperimentalWarning)  # of the sampler's `group`
    console, trials = Console(), pd.read_csv(FILE)
    for name, of_study in trials.groupby("study"):
        surrogate = Surrogate(of_study)
        first: dict[Any, Any] = of_study[[*SPACES["cnn"]]].iloc[0].dropna().to_dict()
        start = {name: SPACES["cnn"][name].distribution.nearest(value) for name, value in first.items()}
        rows = []
        for title, make in SAMPLERS.items():
            found = np.array([replay(make(seed), surrogate, start, seed) for seed in range(REPLAYS)])
            cells = (found[:, after - 1].tolist() for after in AFTER)
            rows.append([title, *(f"{mean(each):.4f} ({stdev(each):.4f})" for each in cells)])
        said = f"{name}: {len(of_study)} trials, of whose variance {surrogate.explained:.0%} is explained"
        console.table(["sampler", *(f"after {after}" for after in AFTER)], rows, said)


if __name__ == "__main__":
    main()
