"""Locks end with the process that holds them, whatever its id was and whoever has this id now."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from digits.common.errors import UserError
from digits.common.files import exclusive, in_use

HOLDER = """
import sys, time
from pathlib import Path
from digits.common.files import exclusive, in_use
with in_use(Path(sys.argv[1])), exclusive(Path(sys.argv[1], ".some.lock"), 60, "busy"):
    print("held", flush=True)
    time.sleep(3600)
"""
CONTAINER = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc")


def contained() -> bool:
    """Whether processes with ids of their own can be started here, as in a container."""
    try:
        return subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("around", [(), CONTAINER], ids=["here", "in a container"])
def test_a_lock_lasts_as_long_as_its_process(around: tuple[str, ...], tmp_path: Path) -> None:
    """What stands in the file, as the id of a process that lives, is no lock."""
    if around and not contained():
        pytest.skip("processes with ids of their own cannot be started here")
    lock = tmp_path / ".some.lock"
    for path in (lock, tmp_path / ".lock"):
        path.write_text(f"{os.getpid()}\n1\n")
    command = [*around, sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="busy"), exclusive(lock, 0.1, "busy"):
            pass
        with pytest.raises(UserError, match="another command is using"), in_use(tmp_path, alone=True):
            pass
        holder.kill()
    with exclusive(lock, 10, "busy"):
        pass
    with in_use(tmp_path, alone=True):
        pass
