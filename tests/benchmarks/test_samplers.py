"""The benchmark of samplers: its table of trials can be read, and its surrogate tells good points from bad ones."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from optuna.samplers import RandomSampler

from benchmarks.samplers import FILE, Surrogate, replay
from digits.models.search_space import SPACES


@pytest.mark.parametrize("study", sorted(pd.read_csv(FILE)["study"].unique()))
def test_a_replay_starts_at_the_first_trial_and_its_best_gets_better(study: str) -> None:
    trials = pd.read_csv(FILE).query("study == @study")
    surrogate = Surrogate(trials)
    assert 0.1 < surrogate.explained < 1
    assert surrogate.noise > 0
    points: list[dict[str, Any]] = [{**row.dropna()} for _, row in trials[[*SPACES["cnn"]]].iterrows()]
    answers = np.array([*map(surrogate, points)])
    assert np.corrcoef(answers, np.log(trials["log_loss"]))[0, 1] > 0.8
    found = replay(RandomSampler(seed=0), surrogate, points[0], 0, trials=3)
    assert len(found) == 3
    assert found[0] == pytest.approx(np.exp(answers[0]))
