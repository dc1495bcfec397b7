"""How fast the machines of a cluster are: each kind is measured once, on one of its workers, as `make train` does."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

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


@dataclass(frozen=True, kw_only=True)
class ClusterDevice(Device):
    """The workers of a cluster as a device: a fit in parallel on each of their threads."""

    cluster: Cluster

    @property
    def slower(self) -> tuple[float, ...]:
        """As in a device, once a timing has said it."""
        known = self.cluster.slower
        return tuple(known.get(member.host, 1.0) for member in self.cluster.members for _ in range(member.threads))

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
    threads = Counter[str]()
    for member in cluster.members:
        threads[fingerprint(member.machine)] += member.threads
    found = _device(cluster, _of_kind(cluster)[threads.most_common(1)[0][0]][0], machines, console)
    shared = vars(found) | {"parallel_fits": cluster.slots, "threads": found.threads if found.gpus else 1}
    return ClusterDevice(**shared, cluster=cluster)


def cluster_timing(
    cluster: Cluster, data: Dataset, run: RunSpec, device: Device, machines: Path, console: Console
) -> Timing:
    """How long one fit of a network takes on the mean worker: together they fit as many as they do in truth.

    It is measured on one worker of each kind, beside as many fits as its computer runs. The cluster gets the seconds
    of each computer's fits as multiples of the mean.
    """
    own: list[tuple[Timing, list[Member]]] = []
    for [first, *others] in _of_kind(cluster).values():
        beside = first.threads + sum(each.threads for each in others if each.host == first.host)
        settings = replace(_device(cluster, first, machines, console), parallel_fits=beside, threads=device.threads)
        decisive = [first.machine, vars(settings), run.model, data.image_shape, data.channels, data.classes]

        def measure(first: Member = first, settings: Device = settings) -> Any:
            return _called(cluster, first, console, time_here, run, settings, *cluster.arrays(data.folder, first))

        path = machines / f"timing-{fingerprint([*decisive, code_version('timing')])}.json"
        own.append((Timing(**read_or_make(path, measure)), [first, *others]))
    counts = [sum(member.threads for member in members) for _, members in own]
    total = sum(counts)
    mean = Timing(
        fmean([timing.start for timing, _ in own], counts),
        total / sum(count / timing.per_image for count, (timing, _) in zip(counts, own, strict=True)),
        total / sum(count / timing.per_prediction for count, (timing, _) in zip(counts, own, strict=True)),
    )
    cluster.slower |= {each.host: timing.per_image / mean.per_image for timing, members in own for each in members}
    return mean


def _of_kind(cluster: Cluster) -> dict[str, list[Member]]:
    """The workers by the fingerprint of their kind of machine."""
    kinds: dict[str, list[Member]] = {}
    for member in cluster.members:
        kinds.setdefault(fingerprint(member.machine), []).append(member)
    return kinds


def _device(cluster: Cluster, member: Member, machines: Path, console: Console) -> Device:
    """The device of a worker's kind of machine; where it is this computer's kind, that of its own commands."""

    def measure() -> Any:
        return _called(cluster, member, console, probe_here) | {"machine": member.machine}

    known = read_or_make(machines / f"{fingerprint(member.machine)}.json", measure)
    return Device(**{name: known[name] for name in Device.__dataclass_fields__})


def _called(cluster: Cluster, member: Member, console: Console, function: Callable[..., Any], *arguments: Any) -> Any:
    with console.status(f"measuring the speed of {member.host} (once, some seconds)"):
        return cluster.submit(member, function, *arguments).result()
