"""Results of a study in lines and tables."""

import pytest

from digits.tuning.records import TrialRecord, finalists, furthest
from digits.tuning.report import front, line, saved_share
from toy_search import result


def test_the_saved_share_compares_with_one_full_fit_for_each_trial() -> None:
    def trial(*seconds: float) -> TrialRecord:
        fits = tuple(result(0.9, rung, each) for rung, each in enumerate(seconds))
        return TrialRecord(0, "", {}, fits, len(seconds) == 3, False, "")

    assert saved_share([trial(1.0), trial(1.0), trial(1, 4, 16)]) == pytest.approx(1 - 23 / 48)


def test_finalists_are_those_that_went_furthest_then_the_best_of_these() -> None:
    def trial(number: int, *values: float, failed: bool = False) -> TrialRecord:
        fits = tuple(result(value, rung) for rung, value in enumerate(values))
        return TrialRecord(number, "", {}, fits, len(values) == 3, failed, "")

    trials = [
        trial(0, 0.9),
        trial(1),
        trial(2, 0.5, 0.6, 0.7),
        trial(3, 0.95),
        trial(4, 0.6, 0.8),
        trial(5, 1.0, failed=True),
    ]
    assert [each.number for each in furthest(trials)] == [2, 4, 3, 0]


def test_finalists_are_the_best_by_log_loss_and_by_accuracy_in_turns_and_not_behind_the_origin() -> None:
    def trial(number: int, *fits: tuple[float, float], name: str = "") -> TrialRecord:
        results = [
            result(0.9, rung) | {"log_loss": log_loss, "accuracy": accuracy}
            for rung, (log_loss, accuracy) in enumerate(fits)
        ]
        return TrialRecord(number, name, {}, tuple(results), len(fits) == 2, False, "")

    trials = [
        trial(0, (0.5, 0.8), (0.3, 0.9), name="origin"),
        trial(1, (0.4, 0.99)),
        trial(2, (0.5, 0.8), (0.2, 0.92)),
        trial(3, (0.5, 0.8), (0.29, 0.94)),
        trial(4, (0.5, 0.8), (0.25, 0.93)),
        trial(5, (0.5, 0.8), (0.31, 0.89)),
        trial(6, (0.6, 0.7)),
        trial(7, (0.6, 0.81)),
        trial(8),
    ]
    assert [each.number for each in finalists(trials, "origin")] == [2, 3, 4, 1, 7]
    assert [each.number for each in finalists(trials[1:3], "origin")] == [2, 1], "an origin that was not fitted"
    assert finalists([], "origin") == []


def test_a_line_says_how_a_fit_went_and_what_is_the_best_of_its_length() -> None:
    def trial(number: int, *losses: float, name: str = "", cause: str = "") -> TrialRecord:
        fits = tuple(result(0.9, rung, 10.0**rung) | {"log_loss": loss} for rung, loss in enumerate(losses))
        return TrialRecord(
            number,
            name,
            {"layers": "8", "optimizer": {"name": "adam"}, "learning_rate": 0.1},
            fits,
            False,
            False,
            cause,
        )

    trials = [trial(0, 0.3, 0.2, name="small"), trial(1, 0.1)]
    assert line(trial(2, 0.2), trials, 90.0).split() == [
        "2",
        "1",
        "1",
        "0.9000",
        "0.2000",
        "0.1000",
        "(#1)",
        "1.5",
        "min",
        "8,",
        "adam",
        "0.1",
    ]
    assert line(trial(3, 0.2, 0.4), trials, -1.0).split()[1:10] == [
        "10",
        "1",
        "0.9000",
        "0.4000",
        "0.2000",
        "(#0)",
        "0.0",
        "min",
        "8,",
    ]
    assert line(trial(4, cause="no memory"), trials, 0.0).endswith("  no memory: 8, adam 0.1")
    mlp = {"hidden_layer_sizes": [8, 4], "solver": "sgd", "learning_rate_init": 0.1}
    for steps, words in (({"deskew": True, "n_components": 50}, "deskewed, 50 components, "), ({"deskew": False}, "")):
        drawn = TrialRecord(5, "", mlp | steps, trials[1].results, False, False, "")
        assert line(drawn, trials, 0.0).endswith(f"  [8, 4], {words}sgd 0.1")


def test_the_front_shows_the_best_trials_and_every_network_with_a_name() -> None:
    def trial(number: int, *values: float, name: str = "") -> TrialRecord:
        return TrialRecord(
            number, name, {}, tuple(result(value, rung) for rung, value in enumerate(values)), False, False, ""
        )

    trials = [trial(0, 0.5, name="small"), *(trial(number, 0.9, 0.9 + number / 1000) for number in range(1, 6))]
    titles, rows = front(trials, (9.4, 37.5))
    assert titles == ["accuracy after", "9 s", "38 s"]
    assert [row[0] for row in rows] == ["trial-5", "trial-4", "trial-3", "small"]
    assert rows[0][1:] == ["0.9000", "0.9050"]
    assert rows[-1][1:] == ["0.5000", ""]
