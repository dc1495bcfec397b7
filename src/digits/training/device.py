"""The device that networks are trained on, processor or GPU, and its fastest settings: measured once per machine."""

import os
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import joblib

from digits.common.code_version import code_version
from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.files import fingerprint
from digits.common.host import processor
from digits.common.sealed import read_json, read_or_make
from digits.config import CnnSpec
from digits.training.cards import cards
from digits.training.crossval import preload
from digits.training.probing import probe

Spec = TypeVar("Spec", bound=CnnSpec)

SETTLED = ("precision", "batch_size", "threads", "jit_compile")  # params that may be auto
_FORGOTTEN = ".before"  # suffix of the file of a measurement that did not agree with later fits


@dataclass(frozen=True)
class Device:
    """A processor or some GPUs of one kind, with the settings that are fastest on them.

    name: TensorFlow's name of the GPU, or CPU. gpus: number of GPUs that TensorFlow sees. precision: Keras' dtype
    policy. batch_size: images per step. threads: of one operation. gain: speed in this precision, as a multiple of
    float32's. parallel_fits: number of fits in parallel, as many on each GPU; without a GPU they share the cores.
    jit_compile: whether XLA compiles the training step.
    """

    name: str
    gpus: int
    precision: str
    batch_size: int
    threads: int
    gain: float
    parallel_fits: int
    jit_compile: bool = False

    @property
    def workers(self) -> list[str | None]:
        """The GPU of each parallel fit, for `cards.use_gpu`; None if there is no GPU."""
        return cards(self.gpus, self.parallel_fits)

    @property
    def slower(self) -> tuple[float, ...]:
        """Seconds of each parallel fit, as multiples of those that are expected; none: all are equal."""
        return ()

    def resolve(self, spec: Spec, parallel: int = 0) -> Spec:
        """The spec with a value for every `auto`. parallel: fits that will share the device; 0: parallel_fits."""
        threads = max(1, self.threads * self.parallel_fits // parallel) if parallel else self.threads
        measured = {name: getattr(self, name) for name in SETTLED} | {"threads": threads}
        return spec.model_copy(
            update={name: value for name, value in measured.items() if getattr(spec, name) == "auto"}
        )

    @property
    def where(self) -> str:
        """What networks are trained on, for people."""
        return f"{self.gpus} x {self.name}" if self.gpus else "the processor"


def measured_device(folder: Path, console: Console | None) -> Device:
    """This machine's device: read from `folder`, or measured once by a probe in subprocesses.

    console: None: it is only read. Raises UserError if it is only read and was never measured, and if TensorFlow does
    not run or takes too long.
    """
    machine = this_machine()
    path = folder / f"{fingerprint(machine)}.json"

    def measure() -> dict[str, Any]:
        assert console
        before = read_json(path.with_suffix(_FORGOTTEN)) or {}
        found = probe(console, before, preload("cnn")) | {"machine": machine}
        if any(found[name] != before.get(name, found[name]) for name in SETTLED):
            console.warn(
                f"{found['precision']} with batch size {found['batch_size']} is faster here than "
                f"{before['precision']} with {before['batch_size']}, as found before; fits with the old settings are "
                "not used any more"
            )
        return found

    if not (known := read_or_make(path, measure) if console else read_json(path)):
        raise UserError("the speed of this machine was not measured yet; type make train, which measures it")
    return Device(**{name: known[name] for name in Device.__dataclass_fields__})


def forget_speeds(folder: Path) -> None:
    """Let the next command measure this machine again; it keeps the old settings unless others are clearly faster."""
    path = folder / f"{fingerprint(this_machine())}.json"
    with suppress(FileNotFoundError):  # another command has done it
        path.replace(path.with_suffix(_FORGOTTEN))
    for timing in folder.glob("timing-*.json"):
        timing.unlink(missing_ok=True)


def this_machine() -> dict[str, Any]:
    """Everything that decides the result of a probe on this machine."""
    return {
        "processor": processor(),
        "cores": [joblib.cpu_count(), joblib.cpu_count(only_physical_cores=True)],
        "code": code_version("device probe"),
        "gpus": _gpus(),
        "cuda": find_spec("nvidia") is not None,  # whether pip has installed CUDA for TensorFlow
    }


def _gpus() -> list[str]:
    """What decides which GPUs TensorFlow will see, found without importing TensorFlow."""
    found = sorted(path.name for path in Path("/proc/driver/nvidia/gpus").glob("*"))
    return [*found, os.environ.get("CUDA_VISIBLE_DEVICES", "all")]
