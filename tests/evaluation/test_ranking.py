"""The ranking: ordered by CV accuracy, marked by paired differences, the holdout only shown."""

import numpy as np

from digits.evaluation.metrics import accuracy
from digits.evaluation.ranking import TITLES, Entry, cells, rank_runs, titles
from digits.evaluation.scoring import ACCURACY, LOG_LOSS, MACRO_F1

LABELS = np.random.default_rng(0).integers(0, 3, 4000)


def entry(name: str, wrong: slice, holdout: float = 0.5, loss: float = 0.1) -> Entry:
    """A run that is wrong on the rows of a slice alone."""
    right = np.eye(3, dtype=np.float32)[LABELS]
    right[wrong] = np.roll(right[wrong], 1, axis=1)
    cv = accuracy(right, LABELS)
    metrics = {"cv_accuracy": cv.value, "cv_low": cv.low, "cv_high": cv.high, "cv_sd": 0.001, "log_loss": loss}
    times = {"fit_seconds": 12.3456, "predict_seconds": 0.5, "size_mb": 1.234}
    return Entry(name, metrics | {"holdout_accuracy": holdout} | times, right)


def test_order_is_by_cv_then_log_loss_and_never_by_the_holdout() -> None:
    entries = [
        entry("worse", slice(0, 200), holdout=0.99),
        entry("best", slice(0, 100), holdout=0.1),
        entry("as-good", slice(0, 100), holdout=0.9, loss=0.2),
    ]
    assert list(rank_runs(entries, LABELS)["name"]) == ["best", "as-good", "worse"]


def test_the_mark_is_for_what_the_best_does_not_beat_beyond_noise() -> None:
    """Ten more errors: within noise where all errors are elsewhere (-100, +110), beyond it where they are the same."""
    elsewhere, same = entry("elsewhere", slice(1000, 1110)), entry("same", slice(0, 110))
    ranking = rank_runs([entry("best", slice(0, 100)), elsewhere, same], LABELS).set_index("name")
    assert ranking["near_best"].to_dict() == {"best": 1, "elsewhere": 1, "same": 0}


def test_its_cells_have_the_digits_that_mean_something() -> None:
    first, second = cells(rank_runs([entry("best", slice(0, 100)), entry("worse", slice(0, 900))], LABELS))
    assert first[0] == "best *"
    assert second[0] == "worse"
    assert first[1:] == ["0.9750 (0.9697 to 0.9794)", "0.0010", "0.1000", "0.5000", "12.3", "0.5", "1.2 MB"]
    assert len(first) == len(TITLES)
    assert titles(ACCURACY) == [*TITLES]


def test_another_metric_orders_the_runs_and_is_shown_first() -> None:
    sure, unsure = entry("sure", slice(0, 100)), entry("unsure", slice(0, 110))
    unsure = Entry("unsure", unsure.metrics, 0.9 * unsure.oof + 0.1 / 3)
    assert list(rank_runs([unsure, sure], LABELS)["name"]) == ["sure", "unsure"]
    assert list(rank_runs([unsure, sure], LABELS, MACRO_F1)["name"]) == ["sure", "unsure"]
    ranking = rank_runs([sure, unsure], LABELS, LOG_LOSS)
    assert list(ranking["name"]) == ["unsure", "sure"]
    assert ranking["near_best"].tolist() == [1, 0]
    assert ranking["score"][0] == LOG_LOSS.value(unsure.oof, LABELS)
    assert "score" not in rank_runs([sure], LABELS)
    first, header = cells(ranking)[0], titles(LOG_LOSS)
    assert header[1] == "CV log loss (95 %) (lower is better)"
    assert first[1] == str(LOG_LOSS.score(unsure.oof, LABELS))
    assert len(first) == len(header)
