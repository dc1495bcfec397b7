"""What the benchmark of the networks counts and concludes."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import networks
from digits.common.files import read_json
from toys import Digits, digits_arguments, write_toy_files


def test_the_overhead_is_that_of_a_fit_of_three_minutes() -> None:
    """On a line between the networks that take less and more time, or the nearest one's."""

    def fits(minutes: float, share: float) -> list[dict[str, float]]:
        return [{"seconds": 60 * minutes, "step_seconds": 60 * minutes * (1 - each)} for each in (share, 0.9, 0.0)]

    assert networks._overhead_share([fits(0.2, 0.5), fits(5, 0.02), fits(2, 0.08)]) == pytest.approx(0.06)
    assert networks._overhead_share([fits(4, 0.04), fits(10, 0.01)]) == pytest.approx(0.04)


def test_the_report_has_what_was_measured(
    workspace: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way, small: real fits in processes of their own, real plain Keras, one round."""
    write_toy_files(workspace / "data" / "raw")
    for name, value in {"ROUNDS": 1, "IMAGES": 512, "SEEDS": (0, 1), "MATRIX": 64}.items():
        monkeypatch.setattr(networks, name, value)
    also = (
        "networks={short: {epochs: 1, min_steps: 30}, long: {epochs: 30, tta: [{shift: [0, 1]}]}}",
        "train.candidates=[default]",
        "train.batch_size=64",
    )
    assert digits("data", also=also).returncode == 0
    monkeypatch.setattr(sys, "argv", ["benchmarks", *digits_arguments("networks", also=also)])
    assert command.main() == 0
    report: dict[str, Any] = read_json(workspace / "reports" / "bench.json")
    assert {"machine", "speedup", "peak_share", "overhead_share", "frontier"} <= set(report)
    assert report["speedup"] > 0 and report["peak_share"] > 0 and 0 < report["overhead_share"] < 1
    short, long = report["frontier"]
    assert (short["name"], long["name"], short["n"], long["config"]["epochs"]) == ("short", "long", 2, 30)
    for point in (short, long):
        assert 0 < point["minutes"] < 2 and 0 <= point["accuracy_mean"] <= 1 and np.isfinite(point["accuracy_sd"])
        assert point["config"]["precision"] == "float32" and 0 < point["overhead_share"] < 1
    shown = capsys.readouterr().out
    assert json.dumps(report["speedup"]) in shown and "accuracy_mean" in shown
