"""This machine's processor model and memory."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

# of a group of processes, as of a container or a job on a cluster: its place below this one, and the file there; cgroup
# version 2, then 1
_LIMITS = (("sys/fs/cgroup", "memory.max"), ("sys/fs/cgroup/memory", "memory.limit_in_bytes"))


def peak_memory() -> float:
    """Peak resident memory of this process so far, in MB (10^6 bytes); nan where the system does not report it."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux; its getrusage would report the parent's memory where that is larger
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        return int(found[1]) * 1024 / 1e6 if found else float("nan")
    if sys.platform == "darwin":
        import resource  # noqa: PLC0415 - absent on Windows

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return float("nan")


def available_memory(root: Path = Path("/")) -> float:
    """Memory that programs can still use, in MB (10^6 bytes), at most the limits of the groups that this process is in.

    All of the machine's memory where the system does not report it. root: root folder of the file system.
    """
    found = re.search(r"MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo"))
    own = [Path(line.split(":")[-1].lstrip("/")) for line in _text(root / "proc/self/cgroup").splitlines()]
    groups = {group for path in (Path(), *own) for group in (path, *path.parents)}  # a container may not see its path
    limits = [_text(root / place / group / name).strip() for group in groups for place, name in _LIMITS]
    bounds = [int(text) for text in limits if text.isdigit()]  # a file without a limit contains the word max
    free = int(found[1]) * 1024 if found else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([free, *bounds]) / 1e6


def processor() -> str:
    """The processor's model, and those of its instruction sets that speed up networks."""
    if sys.platform == "darwin":  # where platform.processor() is arm on every Mac
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or platform.machine()
    text = _text(Path("/proc/cpuinfo"))
    if not text:
        return platform.processor() or platform.machine()
    name = re.search(r"model name\s*:\s*(.+)", text)
    flags = set(text.split())
    return " ".join(
        [name[1] if name else platform.machine(), *sorted(flags & {"avx2", "avx512f", "avx512_bf16", "amx_bf16"})]
    )


def _text(path: Path) -> str:
    """Content of a system file; empty if it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""
