"""What `make train` does with its minutes on this machine: the same answer for every command with the same params."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from math import ceil
from pathlib import Path

from digits.common.console import Console
from digits.config import CnnSpec, Params, Paths
from digits.data.dataset import Dataset
from digits.models.architecture import parse_layers, training_operations
from digits.training.candidates import accuracies, networks
from digits.training.device import Device
from digits.training.runs import RunFolder, RunSpec, run_spec
from digits.training.schedule import Fit, Goal, Share, Sizes, Slot, Timing, allot, choose, foresee
from digits.training.timing import measured_timing
from digits.training.tuned import Study

# Of the budget, what is planned for; the rest is for what takes longer than it should, and for the blend.
_PLANNED, _AT_MOST = 0.94, 1.02
_PRACTICE = 1.0  # minutes are enough for images whose scores mean nothing
_DOUBT = 1.4  # times faster than its multiplications promise may a network be beside another
# Of a network's epochs, that a fold's fit may have; the more, the better.
_SHARES = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)


@dataclass(frozen=True)
class Part:
    """What is fitted of one network.

    name: of the network. spec: the run. goal, timing: as in training.schedule. seconds: of the budget, for each worker.
    accuracy: of a single fit, where it was measured.
    """

    name: str
    spec: RunSpec
    goal: Goal
    timing: Timing
    seconds: float
    accuracy: float | None = None

    def begun(self, runs: Path) -> list[Fit]:
        """The fits that are done."""
        folder = RunFolder(runs, self.spec)
        return [*map(self.goal.on, folder.done(self.goal.folds)), *folder.wholes()]

    def spent(self, runs: Path) -> float:
        """Seconds that the fits took that are done, one after the other."""
        folder = RunFolder(runs, self.spec)
        units = [*map(folder.unit, folder.done(self.goal.folds)), *map(folder.whole, folder.wholes())]
        return sum(map(folder.unit_seconds, units))


@dataclass(frozen=True)
class Plan:
    """What a budget is spent on: a part for each network, one after the other.

    others: runs that might have been chosen instead. sizes, workers: as in training.schedule. minutes: the budget.
    """

    parts: tuple[Part, ...]
    others: tuple[RunSpec, ...]
    sizes: Sizes
    workers: int
    minutes: float

    def left(self, runs: Path, share: float = _PLANNED) -> float:
        """Seconds for each worker, of this share of the budget, less what the finished fits took."""
        return share * self.minutes * 60 - sum(part.spent(runs) for part in self.parts) / self.workers

    def latest(self, runs: Path) -> float:
        """Seconds after which nothing may run any more."""
        return self.left(runs, _AT_MOST)

    def ends(self, runs: Path) -> list[float]:
        """Seconds from now after which each part gives way to the next."""
        due = [max(0.0, part.seconds - part.spent(runs) / self.workers) for part in self.parts]
        return [min(end, self.left(runs)) for end in accumulate(due)]

    def slots(self, part: Part, runs: Path, left: float) -> list[Slot]:
        """The fits of a part that are still to come in so many seconds."""
        return foresee(part.goal, part.begun(runs), part.timing, self.sizes, left, self.workers)


Variant = tuple[str, int]  # a network's name, and epochs of a fold's fit


def make_plan(params: Params, study: Study, data: Dataset, device: Device, paths: Paths, console: Console) -> Plan:
    """Choose the best network that the params allow and that is fast enough here, and how many folds to fit.

    A network may have somewhat fewer epochs than the params say; where it has been fitted already, it has as many as
    then, so that those fits are of use.
    """
    workers, sizes = device.at_once, _sizes(data)
    minutes = min(params.train.budget, _PRACTICE) if data.practice else params.train.budget
    left = _PLANNED * minutes * 60
    wanted = Goal(data.fold_count, 0, params.train.seed, params.train.refits)
    among, beside = networks(params, study)
    known = {} if data.practice else accuracies(params, study)
    allowed = {name: (device.settle(spec, workers), normalise) for name, (spec, normalise) in (among | beside).items()}
    runs = {
        (name, epochs): _run(spec.model_copy(update={"epochs": epochs}), normalise, params, data)
        for name, (spec, normalise) in allowed.items()
        for epochs in dict.fromkeys(max(1, round(share * spec.epochs)) for share in _SHARES)
    }
    longest = {name: runs[name, spec.epochs] for name, (spec, _) in allowed.items()}
    # the best first: where it has time, no plainer one need be known
    timings = _Timings(data, longest, [*among][-1], device, paths, console)

    def variants(name: str) -> dict[Variant, tuple[int, Timing]]:
        return {each: (_epochs(run, sizes), timings.of(name)) for each, run in runs.items() if each[0] == name}

    def begun(chosen: Variant) -> Variant:
        """The variant of the same network of which most is finished."""
        same = [each for each in runs if each[0] == chosen[0]]
        return max([chosen, *same], key=lambda each: _finished(RunFolder(paths.runs, runs[each]), data))

    def shares() -> dict[Variant, Share]:
        first = choose([*map(variants, among)], sizes, left, workers, wanted)
        following = [(name, allowed[name][0].epochs) for name in beside if name != first[0]]
        taken = [*map(begun, [first, *following])]
        return allot({each: variants(each[0])[each] for each in taken}, sizes, left, workers, wanted)

    found = shares()
    while unmeasured := [name for name, _ in found if name not in timings.measured]:
        timings.measure(unmeasured[0])
        found = shares()
    parts = tuple(
        Part(each[0], runs[each], share.goal, timings.of(each[0]), share.seconds, known.get(each[0]))
        for each, share in found.items()
    )
    return Plan(parts, tuple(run for each, run in runs.items() if each not in found), sizes, workers, minutes)


class _Timings:
    """How fast networks are: measured, or guessed by their multiplications from one that is.

    first: the one that is measured in any case.
    """

    def __init__(
        self, data: Dataset, runs: dict[str, RunSpec], first: str, device: Device, paths: Paths, console: Console
    ):
        self.measured: dict[str, Timing] = {}
        self._runs = runs
        self._measure: Callable[[RunSpec], Timing] = lambda run: measured_timing(
            data, run, device, paths.runs / "machines", console
        )
        self._cost = {name: _cost(run, data) for name, run in runs.items()}
        self.measure(first)

    def measure(self, name: str) -> None:
        """Find out, or remember from an earlier command."""
        self.measured[name] = self._measure(self._runs[name])
        self._last = name

    def of(self, name: str) -> Timing:
        """Of what has not been measured only the multiplications are known, and it has the benefit of the doubt."""
        if name in self.measured:
            return self.measured[name]
        return self.measured[self._last].times(self._cost[name] / self._cost[self._last] / _DOUBT)


def _run(spec: CnnSpec, normalise: str, params: Params, data: Dataset) -> RunSpec:
    return run_spec("cnn", spec.model_dump(mode="json"), normalise, params.train.seed, data)


def _finished(folder: RunFolder, data: Dataset) -> int:
    """Number of fits."""
    return len(folder.done(data.fold_count)) + len(folder.wholes())


def _sizes(data: Dataset) -> Sizes:
    fold = len(data.train_rows(0))
    shown = len(data.valid_rows(0)) + len(data.holdout_rows) + len(data.test_images)
    return Sizes(fold, len(data.labels), shown)


def _epochs(run: RunSpec, sizes: Sizes) -> int:
    """Of a fold's fit, which small sets need more of."""
    steps = max(1, sizes.fold // int(run.model["batch_size"]))
    return max(int(run.model["epochs"]), ceil(int(run.model["min_steps"]) / steps))


def _cost(run: RunSpec, data: Dataset) -> float:
    return float(training_operations(parse_layers(run.model["layers"]), data.image_shape, data.classes))
