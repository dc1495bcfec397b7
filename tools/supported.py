"""Says in one line why packages cannot be installed here, and what to do: python tools/supported.py NAME...

NAME: the packages of requirements/NAME.lock. The exit status is 2 if there is such a reason. It runs before anything is
installed, by the Python that will have the packages.
"""

import os
import platform
import struct
import sys
from pathlib import Path

_GLIBC = (2, 28)  # the oldest that all wheels of requirements/ are for
_WITHOUT = "make baseline works without TensorFlow"


def obstacle(
    tensorflow: bool, system: str, machine: str, bits: int, glibc: tuple[int, ...], instructions: set[str]
) -> str | None:
    """Why this Python cannot have the packages on this machine; None if it can.

    tensorflow: whether it is one of them. system: as sys.platform. glibc: its version; empty: Linux has another libc.
    instructions: what the processor has; empty: not known.
    """
    linux, arm = system == "linux", machine.lower() in ("arm64", "aarch64")
    version = ".".join(map(str, glibc))
    reasons = (
        (system not in ("linux", "darwin"), f"no packages for {system}; use Linux, macOS or WSL2 of Windows"),
        (
            bits != 64,
            f"this Python has {bits} bits, the packages need 64; name another: make setup PYTHON=/path/to/python",
        ),
        (not arm and machine != "x86_64", f"no packages for {machine} processors; use x86-64, or ARM with 64 bits"),
        (
            linux and not glibc,
            "scikit-learn has no package for musl, this system's libc; use a Linux with glibc, as Debian",
        ),
        (
            linux and () < glibc < _GLIBC,
            f"glibc is {version}, the packages need 2.28; use a newer Linux or a container",
        ),
        (not tensorflow, None),
        (
            system == "darwin" and not arm,
            "TensorFlow has no package for Macs with Intel processors, and this Python is for them; on Apple silicon "
            f"name one for arm64: make setup PYTHON=/opt/homebrew/bin/python3.12; {_WITHOUT}",
        ),
        (
            not arm and bool(instructions) and "avx" not in instructions,
            "TensorFlow needs AVX, which this processor lacks or a virtual machine hides (give it the host's type of "
            f"processor); {_WITHOUT}",
        ),
    )
    return next((reason for applies, reason in reasons if applies), None)


def _glibc() -> tuple[int, ...]:
    """The version of glibc; empty where there is another libc."""
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION") or ""  # as in "glibc 2.36"
    except ValueError:
        return ()
    return tuple(int(number) for number in name.removeprefix("glibc ").split(".")[:2] if number)


def _instructions() -> set[str]:
    """The words by which Linux describes the processor; empty elsewhere."""
    try:
        return set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return set()


if __name__ == "__main__":
    locks = [Path("requirements", f"{name}.lock").read_text() for name in sys.argv[1:]]
    tensorflow = any(line.startswith("tensorflow==") for lock in locks for line in lock.splitlines())
    bits = 8 * struct.calcsize("P")
    reason = obstacle(tensorflow, sys.platform, platform.machine(), bits, _glibc(), _instructions())
    if reason:
        print(f"error: {reason}", file=sys.stderr)
        sys.exit(2)
