"""Two commands at once in one checkout: both end well, and make what each makes alone."""

import os
import random
import shutil
import subprocess
from itertools import combinations_with_replacement
from pathlib import Path

import pandas as pd
import pytest

from digits.kaggle.ledger import Ledger
from toys import MINUTES, Digits, digits_command, write_toy_files

pytestmark = pytest.mark.slow

COMMANDS = ("data", "baseline", "train", "tune", "submit", "report")
TIME = (MINUTES, "train.refits=0", "data.folds=2", "tune.model=small", "tune.workers=1")
CHANGED = {"same": (), "other": ("train.seed=7", "data.seed=7")}
ALL = [(*pair, params) for pair in combinations_with_replacement(COMMANDS, 2) for params in CHANGED]
# PAIRS=42 in the environment: all of them; SEED=1: others than usual
PAIRS = random.Random(int(os.environ.get("SEED", "305"))).sample(ALL, min(len(ALL), int(os.environ.get("PAIRS", "1"))))
FOLLOWING = {"baseline", "train", "submit"}  # that use what a search has found


def made(workspace: Path) -> dict[str, bytes]:
    """What does not depend on the clock: arrays, probabilities of fits, and files to upload."""
    names = "data/processed/*/*.npy", "runs/[!bt]*/*/probabilities.npz", "submissions/toy-*.csv"
    return {str(file.relative_to(workspace)): file.read_bytes() for name in names for file in workspace.glob(name)}


def events(workspace: Path) -> list[tuple[str, str]]:
    lines = Ledger(workspace / "submissions" / "ledger.csv").lines()
    return sorted((line["file"], line["state"]) for line in lines)


@pytest.mark.parametrize(("first", "second", "params"), PAIRS)
def test_two_commands_at_once_make_what_each_makes_alone(
    first: str, second: str, params: str, workspace: Path, digits: Digits, tmp_path: Path
) -> None:
    """The second one with the same params, or with others."""
    write_toy_files(workspace / "data" / "raw")
    pair, changed = {first, second}, CHANGED[params]
    ordered = pair == {"baseline", "submit"} or ("tune" in pair and pair & FOLLOWING)  # the first changes the second
    if changed or not ordered:
        for command, also in ((first, TIME), (second, (*TIME, *changed))):
            # of a search, the arrays alone do not depend on the clock
            assert digits("data" if command == "tune" else command, also=also).returncode == 0
        expected = made(workspace), events(workspace)
        for name in ("data/processed", "runs", "submissions"):
            if (workspace / name).exists():
                (workspace / name).rename(tmp_path / Path(name).name)
        shutil.copytree(tmp_path / "runs" / "machines", workspace / "runs" / "machines")
    else:
        expected = None
    other = subprocess.Popen(
        digits_command(first, also=TIME), cwd=workspace, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    own = digits(second, also=(*TIME, *changed))
    shown = other.communicate(timeout=600)[0]
    assert other.returncode == 0, shown
    assert own.returncode == 0, own.stderr
    assert expected is None or (made(workspace), events(workspace)) == expected
    assert [path for path in workspace.rglob(".*-*") if path.name != ".lock"] == []
    if "tune" in pair:
        assert len(pd.read_csv(workspace / "reports" / "tune" / "trials.csv")) == 4
