"""What the logs tell of the fits: which lines are whose, how far each is, and which of them still run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from digits.common.logs import log, log_to
from digits.watch.fits import Fit, Logs


def line(process: int, message: str, second: int = 0) -> str:
    return f"2026-01-01 10:00:{second:02d},123 INFO {process} {message}\n"


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def told(runs: Path, *lines: str, run: str = "cnn-1") -> dict[str, Fit]:
    """The fits, by name, after these lines of a log."""
    (runs / run).mkdir(parents=True, exist_ok=True)
    (runs / run / "log.txt").write_text("".join(lines))
    return {fit.unit: fit for fit in Logs(runs).fits(50)}


def test_lines_of_fits_in_parallel_belong_to_their_own_process(tmp_path: Path) -> None:
    """Two folds have as many epochs, and nothing else tells whose an epoch is."""
    fits = told(
        tmp_path,
        line(7, "fold-0 starts: RunSpec(name='cnn')"),
        line(8, "fold-1 starts: RunSpec(name='cnn')", 1),
        line(8, "the network:\n│ a table │"),
        line(8, "epoch 1 of 2: {'accuracy': 0.2, 'loss': 2.0, 'valid_loss': 1.0, 'valid_accuracy': 0.3}", 2),
        line(7, "epoch 1 of 2: {'accuracy': 0.1, 'loss': nan, 'learning_rate': 1e-05}", 3),
        line(8, "epoch 2 of 2: {'accuracy': 9e-01, 'loss': 1.5}", 4),
        line(8, "fold-1 done: {'fit_seconds': 3.0, 'accuracy': 0.95, 'log_loss': 0.1}", 5),
        line(7, "epoch 2 of 2: {'accuracy': 0.8}", 6).rstrip("\n"),
    )
    first, second = fits["fold 1"], fits["fold 2"]
    assert (second.state, second.accuracy, second.valid_accuracy) == ("done", [(1, 0.2), (2, 0.9)], [(1, 0.3)])
    assert (second.result, second.epoch, second.epochs, second.last - second.began) == (0.95, 2, 2, 4)
    assert (first.accuracy, first.epoch, first.last - first.began) == ([(1, 0.1)], 1, 3), "its last line is unfinished"


def test_a_fit_runs_as_long_as_its_process(tmp_path: Path) -> None:
    with log_to(tmp_path / "cnn-1" / "log.txt"):
        log.warning("refit-43-16 starts: RunSpec()")
    logs = Logs(tmp_path)
    [fit] = logs.fits(1)
    assert (fit.unit, fit.state, fit.process) == ("refit, seed 43", "running", os.getpid())
    gone = ended_process()
    assert told(tmp_path, line(gone, "fold-2 starts: "), run="killed")["fold 3"].state == "stopped"
    assert told(tmp_path, line(os.getpid(), "fold-2 starts: "), run="killed")["fold 3"].state == "stopped", "months ago"
    assert [each.run for each in logs.fits(2)] == ["cnn-1", "killed"], "what runs is first"
    with log_to(tmp_path / "cnn-1" / "log.txt"):
        log.warning("refit-43-9-of-16 done: {'epochs': 9}")
    [fit] = logs.fits(1)
    assert (fit.state, fit.result) == ("done", None)


def test_of_several_attempts_the_last_one_counts(tmp_path: Path) -> None:
    fits = told(
        tmp_path,
        line(7, "fold-0 starts: "),
        line(7, "epoch 1 of 9: {'accuracy': 0.1}"),
        line(9, "fold-0 starts: ", 1),
        line(9, "fold 0 failed", 2),
    )
    assert [(fit.state, fit.accuracy) for fit in fits.values()] == [("failed", [])]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "2026-01-01 10:00:00,123 INFO epoch 1 of 2: {'accuracy': 0.1}\n",  # as before logs had the process
        line(7, "epoch 1 of 2: {'accuracy': 0.1}"),  # of no fit
        line(7, "fold-0 done: {'accuracy': 0.1}"),
        "\ufffd\x00{{{\n",
    ],
)
def test_what_tells_of_no_fit_is_passed_over(text: str, tmp_path: Path) -> None:
    assert told(tmp_path, text) == {}
