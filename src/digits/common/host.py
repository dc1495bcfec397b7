"""The model of this machine's processor, and the peak memory of this process."""

import platform
import re
import sys
from pathlib import Path


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


def processor() -> str:
    """The processor's model, and which of the instruction sets it has that speed up networks."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    name = re.search(r"model name\s*:\s*(.+)", text)
    flags = set(text.split())
    return " ".join(
        [name[1] if name else platform.machine(), *sorted(flags & {"avx2", "avx512f", "avx512_bf16", "amx_bf16"})]
    )
