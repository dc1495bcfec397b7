"""What other programs have set does not change what a command does."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from digits.common.environment import clean
from toys import digits_command, write_toy_files

NONSENSE = {
    "MPLBACKEND": "module://ipykernel.pylab.backend_inline",
    "MATPLOTLIBRC": "/nowhere/matplotlibrc",
    "KERAS_BACKEND": "theano",
    "KERAS_HOME": "/nowhere",
    "TF_USE_LEGACY_KERAS": "1",
    "TF_XLA_FLAGS": "--nonsense",
    "XLA_FLAGS": "--nonsense",
    "TF_NUM_INTRAOP_THREADS": "nonsense",
    "HDF5_USE_FILE_LOCKING": "nonsense",
    "JOBLIB_TEMP_FOLDER": "/nowhere",
    "JOBLIB_MULTIPROCESSING": "0",
    "PYTHONWARNINGS": "error",
    "MALLOC_TRIM_THRESHOLD_": "65536",
}


def test_what_breaks_libraries_is_removed_and_the_rest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"CUDA_VISIBLE_DEVICES": "1", "HTTPS_PROXY": "http://proxy", "OMP_NUM_THREADS": "3", "HOME": str(Path.cwd())}
    environment = NONSENSE | kept
    with warnings.catch_warnings():
        clean(environment)
    decided = {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": f"{os.devnull}/keras", "HDF5_USE_FILE_LOCKING": "FALSE"}
    assert environment == kept | decided


def test_windows_is_told_of_wsl() -> None:
    code = "import sys; sys.platform = 'win32'; import digits.cli"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert re.fullmatch(r"error: Windows needs WSL2; .*\n", ended.stderr)


def test_matplotlib_has_a_folder_where_the_home_has_none_and_keeps_the_one_that_is_set(tmp_path: Path) -> None:
    environment = {"HOME": "/dev/null/home"}
    clean(environment)
    folder = Path(environment["MPLCONFIGDIR"])
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    clean(environment)
    assert environment["MPLCONFIGDIR"] == str(folder)


def test_a_user_without_a_name_and_a_home_has_an_empty_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 54321)  # as in containers
    clean(environment := {"MPLCONFIGDIR": "/mine"})
    assert environment["HOME"] == os.devnull
    monkeypatch.undo()
    monkeypatch.delenv("HOME")
    clean(environment := {"MPLCONFIGDIR": "/mine"})
    assert environment["HOME"] == str(Path.home())


def submit(workspace: Path, environment: dict[str, str]) -> None:
    """Make a submission with these variables; nothing is said on standard error."""
    made = subprocess.run(
        digits_command("submit"),
        cwd=workspace,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""
    assert [*workspace.glob("submissions/toy-*.csv")]


@pytest.mark.slow
def test_a_submission_is_made_without_a_home_and_whatever_is_inherited(workspace: Path, tmp_path: Path) -> None:
    """From a notebook, beside an old keras.json, with variables of other programs; and nothing is left.

    The names are short, because a socket's path must be.
    """
    write_toy_files(workspace / "data" / "raw")
    (old := tmp_path / "keras").mkdir()
    (old / "keras.json").write_text('{"floatx": "float8", "backend": "cntk", "image_data_format": "up"}')
    (temporary := tmp_path / "tmp").mkdir()
    submit(workspace, NONSENSE | {"KERAS_HOME": str(old), "HOME": "/dev/null/home", "TMPDIR": str(temporary)})
    assert [*temporary.iterdir()] == []
