"""What the system says of this machine."""

import os
import subprocess
from pathlib import Path

import pytest

from digits.common.host import available_memory, peak_memory, processor


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("", 2048),
        ("cgroup/memory.max=max\n", 2048),
        ("cgroup/memory.max=1000000\n", 1),
        ("cgroup/memory/memory.limit_in_bytes=9223372036854771712", 2048),
        ("cgroup/jobs/7/step/memory.max=1000000\n", 1),
        ("cgroup/jobs/memory.max=1000000\n", 1),
        ("cgroup/jobs/8/memory.max=1000000\n", 2048),
        ("cgroup/memory/docker/7/memory.limit_in_bytes=1000000", 1),
    ],
)
def test_memory_is_the_systems_and_at_most_that_of_its_groups(limit: str, expected: float, tmp_path: Path) -> None:
    assert available_memory(tmp_path) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 3000000 kB\nMemAvailable:    2000000 kB\n")
    (tmp_path / "proc/self").mkdir()
    (tmp_path / "proc/self/cgroup").write_text("4:memory:/docker/7\n0::/jobs/7/step\n")
    if limit:
        path, text = f"sys/fs/{limit}".split("=")
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    assert available_memory(tmp_path) == expected


def test_this_machine_has_some() -> None:
    assert available_memory() > 100


@pytest.mark.parametrize(("said", "expected"), [("Apple M2\n", "Apple M2"), ("", "arm64")])
def test_a_mac_is_known_without_proc(said: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a stand-in for a Mac: its sysctl, and no file of Linux."""
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    monkeypatch.setattr("pathlib.Path.exists", lambda path: False)
    monkeypatch.setattr("subprocess.run", lambda words, **_: subprocess.CompletedProcess(words, 0, stdout=said))
    assert processor() == expected
    assert peak_memory() > 0
