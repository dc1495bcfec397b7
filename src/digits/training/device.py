"""The device that networks are trained on, processor or GPU, and its fastest settings: measured once per machine."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import joblib

from digits.common.code_version import code_version
from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.files import fingerprint, read_or_make
from digits.common.host import processor
from digits.config import CnnSpec

Spec = TypeVar("Spec", bound=CnnSpec)

_PROBE = "digits.models.cnn.probe"
# A smaller batch is taken from this share of the highest speed on: in as many epochs it takes more steps, which are
# worth more than speed. Six epochs of the default: 0.9955 with 128 images per step, 0.9925 with 512. A busy machine's
# speeds vary by 20 %.
_ENOUGH = 0.5


@dataclass(frozen=True)
class Device:
    """A processor or some GPUs of one kind, with the settings that are fastest on them.

    name: TensorFlow's name of the GPU, or CPU. gpus: number of GPUs that TensorFlow sees. precision: Keras' dtype
    policy. batch_size: images per step. threads: of one operation. gain: speed in this precision, in multiples of
    float32's.
    """

    name: str
    gpus: int
    precision: str
    batch_size: int
    threads: int
    gain: float

    @classmethod
    def from_measurement(cls, measured: dict[str, Any], threads: int) -> "Device":
        """The precision that is fastest at the smallest batch, and the smallest batch that is fast enough with it.

        measured: the output of models.cnn.probe.
        """
        speeds = {
            name: {int(size): speed for size, speed in by_size.items()}
            for name, by_size in measured["images_per_second"].items()
        }
        smallest = min(speeds["float32"])
        precision = max(speeds, key=lambda name: speeds[name][smallest])
        enough = _ENOUGH * max(speeds[precision].values())
        return cls(
            name=measured["device"],
            gpus=measured["gpus"],
            precision=precision,
            batch_size=min(size for size, speed in speeds[precision].items() if speed >= enough),
            threads=threads,
            gain=round(speeds[precision][smallest] / speeds["float32"][smallest], 2),
        )

    @property
    def parallel_fits(self) -> int:
        """Number of parallel fits: one per GPU; without a GPU two, which together are faster than one on all cores."""
        return self.gpus or min(2, joblib.cpu_count())

    @property
    def workers(self) -> list[str | None]:
        """The GPU of each parallel fit, for `use_gpu`; None where there is no GPU."""
        if not self.gpus:
            return [None] * self.parallel_fits
        named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        return [named[gpu] if len(named) >= self.gpus else str(gpu) for gpu in range(self.gpus)]

    def resolve(self, spec: Spec, parallel: int = 1) -> Spec:
        """The spec with a value in place of every `auto`, for one of `parallel` fits that share the cores."""
        threads = max(1, self.threads // parallel)
        measured = {"precision": self.precision, "batch_size": self.batch_size, "threads": threads}
        return spec.model_copy(
            update={name: value for name, value in measured.items() if getattr(spec, name) == "auto"}
        )

    def description(self, spec: dict[str, Any]) -> str:
        """One line for people: device, precision and batch size of a resolved spec, and why."""
        threads = "1 thread" if spec["threads"] == 1 else f"{spec['threads']} threads"
        where = f"{self.gpus} x {self.name}" if self.gpus else f"CPU, {threads}"
        if spec["precision"] == self.precision:
            why = f"{self.gain} times as fast as float32 here" if self.gain > 1 else "no other precision is faster here"
        else:
            why = "as params.yaml says"
        return f"training on {where}, in {spec['precision']} ({why}), {spec['batch_size']} images per step"


def use_gpu(gpu: str | None) -> None:
    """Let this process see one GPU only, named as in CUDA_VISIBLE_DEVICES; None: all that it sees by itself.

    To be called before TensorFlow has looked for devices.
    """
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu


def measured_device(folder: Path, console: Console | None) -> Device:
    """This machine's device: read from `folder`, or measured once by a probe of some seconds in a subprocess.

    console: None: it is not measured. Raises UserError then, if it was not before, and where TensorFlow does not run.
    """
    thread_counts = sorted({joblib.cpu_count(), joblib.cpu_count(only_physical_cores=True)})
    machine = {
        "processor": processor(),
        "threads": thread_counts,
        "code": code_version("device probe"),
        "gpus": _gpus(),
        "cuda": find_spec("nvidia") is not None,  # what pip installs for TensorFlow to use a GPU with
    }

    def measure() -> dict[str, Any]:
        if console is None:
            raise UserError("this machine was not measured yet; make train does so")
        with console.waiting("a probe of this machine: some seconds, once"):
            found = {threads: _probe(threads) for threads in thread_counts}
        threads = max(found, key=lambda count: _highest_speed(found[count]))
        return vars(Device.from_measurement(found[threads], threads)) | {"machine": machine, "measured": found}

    known = read_or_make(folder / f"{fingerprint(machine)}.json", measure)
    return Device(**{name: known[name] for name in Device.__dataclass_fields__})


def _highest_speed(measured: dict[str, Any]) -> float:
    return float(max(speed for sizes in measured["images_per_second"].values() for speed in sizes.values()))


def _gpus() -> list[str]:
    """What decides which GPUs TensorFlow will see, found without importing TensorFlow."""
    cards = sorted(path.name for path in Path("/proc/driver/nvidia/gpus").glob("*"))
    return [*cards, os.environ.get("CUDA_VISIBLE_DEVICES", "all")]


def _probe(threads: int) -> dict[str, Any]:
    shown = subprocess.run([sys.executable, "-m", _PROBE, str(threads)], capture_output=True, text=True, check=False)
    if shown.returncode:
        last = (shown.stderr.strip() or "no message").splitlines()[-1]
        raise UserError(
            f"TensorFlow does not run here: {last}; type rm -r .venv, then the same command, to install it anew"
        )
    measured: dict[str, Any] = json.loads(shown.stdout.splitlines()[-1])
    return measured
