"""What a user can do where a process that runs TensorFlow has failed."""

import re
import sys
from pathlib import Path

_CHECKOUT = Path(__file__).parents[3]
_REINSTALL = (
    "type rm -r .venv, then the same command, to reinstall it"
    if Path(sys.prefix) == _CHECKOUT / ".venv"
    else "type pip install --force-reinstall 'digits[keras]'"
)
_PROCESSOR = "with CUDA_VISIBLE_DEVICES=-1 before it, the same command uses the processor"
# What the cause contains, and what helps; the first that fits is meant.
_REMEDIES = {
    r"^(ImportError|ModuleNotFoundError)\b(?!.*(GLIBC|CXXABI|failed to map))": f"a package is damaged; {_REINSTALL}",
    r"(?i)CUDA_ERROR_OUT_OF_MEMORY|^(?=.*(cuda|gpu)).*(out of memory|OOM|ResourceExhausted)": (
        "the GPU's memory is used up, most often by another program, which nvidia-smi names; end that one, then type "
        f"the same command; or {_PROCESSOR}"
    ),
    r"(?i)cuda|cudnn|cublas|\bgpu\b|nvidia": _PROCESSOR,
    r"instructions": (
        "TensorFlow needs a newer processor, with AVX if it is an Intel or AMD; make baseline does without TensorFlow"
    ),
    r"pthread_create|bad_alloc|failed to map segment|annot allocate memory": (
        "memory or threads are limited here, as by ulimit -v or ulimit -u; type the same command in a shell without "
        "such a limit; make baseline needs less"
    ),
    r"was killed|^MemoryError": "close other programs, then type the same command",
}


def explained(cause: object) -> str:
    """The cause of a failure, and what to do about it where that is known."""
    remedy = next((text for pattern, text in _REMEDIES.items() if re.search(pattern, str(cause))), "")
    return f"{cause}; {remedy}" if remedy else str(cause)
