"""How fast the machines of a cluster are: each kind is measured once, on one of its workers, as `make train` does."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any
from uuid import uuid4

from digits.cluster.client import Cluster, Member
from digits.cluster.worker import probe_here, time_here
from digits.common.code_version import code_version
from digits.common.console import Console
from digits.common.files import fingerprint
from digits.common.sealed import read_or_make
from digits.data.dataset import Dataset
from digits.training.device import Device, Spec
from digits.training.runs import RunSpec
from digits.training.schedule import Timing


@dataclass(frozen=True)
class ClusterDevice(Device):
    """The workers of a cluster as a device: a fit in parallel on each of their threads."""

    cluster: Cluster

    @property
    def slower(self) -> tuple[float, ...]:
        """As in a device, once a timing has said it."""
        known, members = self.cluster.slower, self.cluster.members
        return tuple(known.get(member.host, 1.0) for member in members for _ in range(member.threads))

    @property
    def workers(self) -> list[str | None]:
        """Each fit takes the GPU that its worker sees."""
        return [None] * self.parallel_fits

    def resolve(self, spec: Spec, parallel: int = 0) -> Spec:
        """As in a device, but a fit gets no more threads where fewer run in parallel: they are on other machines."""
        return super().resolve(spec)

    @property
    def where(self) -> str:
        """What networks are trained on, for people."""
        return "a cluster"


def cluster_device(cluster: Cluster, machines: Path, console: Console) -> ClusterDevice:
    """The device that the plan works with: the settings that are fastest on most threads, and a fit on each of them.

    On processors a fit has one thread. machines: folder that keeps what was measured.
    """
    [(most, _)] = _threads(cluster).most_common(1)
    found = _device(cluster, most, machines, console)
    shared = vars(found) | {"parallel_fits": cluster.slots, "threads": found.threads if found.gpus else 1}
    return ClusterDevice(**shared, cluster=cluster)


def cluster_timing(
    cluster: Cluster, data: Dataset, run: RunSpec, device: Device, machines: Path, console: Console
) -> Timing:
    """How long one fit of a network takes on the mean worker: together they fit as many as they do in truth.

    It is measured on one worker of each kind, beside as many fits as its computer runs. The cluster gets the seconds
    of each computer's fits as a multiple of the mean.
    """
    timings = {}
    for kind in _threads(cluster):
        members = [member for member in cluster.members if fingerprint(member.machine) == kind]
        beside = sum(member.threads for member in members if member.host == members[0].host)
        measured = replace(_device(cluster, kind, machines, console), parallel_fits=beside, threads=device.threads)
        timings[kind] = Timing(**_measured(cluster, members[0], data, run, measured, machines, console))
    counted = [(timings[kind], count) for kind, count in _threads(cluster).items() if kind in timings]
    total = sum(count for _, count in counted)
    mean = Timing(
        fmean([timing.start for timing, _ in counted], [count for _, count in counted]),
        total / sum(count / timing.per_image for timing, count in counted),
        total / sum(count / timing.per_prediction for timing, count in counted),
    )
    for member in cluster.members:
        if known := timings.get(fingerprint(member.machine)):
            cluster.slower[member.host] = known.per_image / mean.per_image
    return mean


def _threads(cluster: Cluster) -> Counter[str]:
    """Threads of all workers by their kind of machine."""
    count = Counter[str]()
    for member in cluster.members:
        count[fingerprint(member.machine)] += member.threads
    return count


def _device(cluster: Cluster, kind: str, machines: Path, console: Console) -> Device:
    """The device of a kind of machine; where it is this computer's kind, that of its own commands."""
    member = next(each for each in cluster.members if fingerprint(each.machine) == kind)

    def measure() -> dict[str, Any]:
        with console.status(f"measuring the speed of {member.host} (once, some seconds)"):
            found: dict[str, Any] = _called(cluster, member, probe_here)
            return found | {"machine": member.machine}

    known = read_or_make(machines / f"{kind}.json", measure)
    return Device(**{name: known[name] for name in Device.__dataclass_fields__})


def _measured(
    cluster: Cluster, member: Member, data: Dataset, run: RunSpec, device: Device, machines: Path, console: Console
) -> dict[str, float]:
    decisive = [member.machine, vars(device), run.model, data.about["image_shape"], data.channels, data.classes]

    def measure() -> dict[str, float]:
        name, arrays = cluster.arrays(data.folder, member)
        with console.status(f"measuring how fast a network trains on {member.host} (once, some seconds)"):
            found: dict[str, float] = _called(cluster, member, time_here, name, run, device, arrays)
        return found

    return read_or_make(machines / f"timing-{fingerprint([*decisive, code_version('timing')])}.json", measure)


def _called(cluster: Cluster, member: Member, function: Callable[..., Any], *arguments: Any) -> Any:
    return cluster.submit(function, *arguments, member=member, key=f"{function.__name__}-{uuid4().hex}").result()
