"""Which GPU each of several parallel fits uses."""

import os


def cards(gpus: int, fits: int) -> list[str | None]:
    """The GPU of each fit, for `use_gpu`: all GPUs in turns, so that each has as many fits; None if there is none."""
    if not gpus:
        return [None] * fits
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    names = named if len(named) >= gpus else [str(gpu) for gpu in range(gpus)]
    return [names[fit % gpus] for fit in range(fits)]


def use_gpu(gpu: str | None) -> None:
    """Let this process see one GPU only, named as in CUDA_VISIBLE_DEVICES; None: all that it sees anyway.

    It must be called before TensorFlow looks for devices.
    """
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
