"""Damaged files: a command gives the same answer, or says in a line which file is damaged and what to type."""

import os
import random
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from digits.cli.main import main
from toys import DAMAGES, ROOT, Digits, digits_arguments, write_toy_files

pytestmark = pytest.mark.slow
SEARCH = "tune.model=small"  # of an MLP, which takes seconds
SEED = int(os.environ.get("DAMAGE_SEED", "0"))
ROUNDS = int(os.environ.get("DAMAGE_ROUNDS", "6"))  # of each kind of damage
# what no command reads back for its answer
_UNREAD = ("log.txt", ".lock", ".submitting.lock", ".ledger.lock")


@pytest.fixture(scope="session")
def finished(probed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which baselines, a search and a submission are finished, one for all processes of the tests."""
    folder = probed.parent / "finished"
    with FileLock(folder.with_suffix(".lock")), pytest.MonkeyPatch.context() as patch:
        if not folder.is_dir():
            making = tmp_path_factory.mktemp("making") / "project"
            (making / "runs").mkdir(parents=True)
            shutil.copy(ROOT / "params.yaml", making)
            shutil.copytree(probed, making / "runs" / "machines")
            write_toy_files(making.parent / "files")
            patch.chdir(making)
            patch.setenv("HOME", str(making))
            for command in ("baseline", "tune", "submit"):
                arguments = digits_arguments(command, "--data", str(making.parent / "files"), also=(SEARCH,))
                assert main(arguments) == 0, command
            assert main(digits_arguments("submit", also=(SEARCH,))) == 0
            making.rename(folder)
    return folder


def answer(folder: Path) -> dict[str, bytes]:
    """The submissions."""
    return {path.name: path.read_bytes() for path in (folder / "submissions").glob("*.csv") if path.stem != "ledger"}


def damageable(folder: Path) -> list[Path]:
    paths = [path for part in ("runs", "data", "submissions") for path in sorted((folder / part).rglob("*"))]
    return [path for path in paths if path.is_file() and path.name not in _UNREAD and path.stat().st_size]


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_changes_no_answer_without_a_word(kind: str, finished: Path, workspace: Path, digits: Digits) -> None:
    generator = random.Random(f"{SEED} {kind}")
    expected = answer(finished)
    assert len(expected) == 1
    for _ in range(ROUNDS):
        shutil.rmtree(workspace)
        shutil.copytree(finished, workspace)
        damaged = generator.choice(damageable(workspace))
        DAMAGES[kind](damaged, generator)
        os.chdir(workspace)
        shown = digits("submit", also=(SEARCH,))
        where = f"{kind}, {damaged.relative_to(workspace)}: {shown.returncode}\n{shown.stderr}"
        assert "Traceback" not in shown.stderr, where
        if shown.returncode == 0:
            assert answer(workspace) == expected, where
            continue
        [error] = [line for line in shown.stderr.splitlines() if line.startswith("error: ")]
        assert damaged.name in shown.stderr or damaged.parent.name in shown.stderr, where
        assert any(word in error for word in ("type ", "DATA=", "move it away")), where
        assert answer(workspace).items() <= expected.items(), where
