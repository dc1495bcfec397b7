"""What `make train` does with its minutes on this machine: the same answer for every command with the same params."""

from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from digits.config import CnnSpec, Params, Paths
from digits.console import Console
from digits.engine import Engine
from digits.layers import parse_layers, training_operations
from digits.pace import measured_pace
from digits.plan import Fit, Goal, Pace, Sizes, Slot, choose, foresee
from digits.prepared import Prepared
from digits.runs import RunFolder, RunSpec, run_spec
from digits.studies import Study, networks

# Of the budget, what is planned for; the rest is for what takes longer than it should, and for the blend.
_PLANNED, _AT_MOST = 0.94, 1.02
_PRACTICE = 1.0  # minutes are enough for images whose scores mean nothing
_DOUBT = 1.4  # times faster than its multiplications promise may a network be beside another
_SHARES = (1.0, 0.85, 0.7)  # of a network's epochs, that a fold's fit may have


@dataclass(frozen=True)
class Planned:
    """name: of the network that is chosen. spec: the run that is to be fitted; others: that might have been instead.

    goal, pace, sizes, workers: as in digits.plan. minutes: the budget.
    """

    name: str
    spec: RunSpec
    others: tuple[RunSpec, ...]
    goal: Goal
    pace: Pace
    sizes: Sizes
    workers: int
    minutes: float

    def left(self, runs: Path, share: float = _PLANNED) -> float:
        """Seconds for each worker, of this share of the budget, less what the run's finished fits took."""
        folder = RunFolder(runs, self.spec)
        units = [*map(folder.unit, folder.done(self.goal.folds)), *map(folder.whole, folder.wholes())]
        return share * self.minutes * 60 - sum(map(folder.unit_seconds, units)) / self.workers

    def latest(self, runs: Path) -> float:
        """Seconds after which nothing may run any more."""
        return self.left(runs, _AT_MOST)

    def begun(self, runs: Path) -> list[Fit]:
        """The fits that are done."""
        folder = RunFolder(runs, self.spec)
        return [*map(self.goal.on, folder.done(self.goal.folds)), *folder.wholes()]

    def slots(self, runs: Path, left: float) -> list[Slot]:
        """The fits that are still to come in so many seconds."""
        return foresee(self.goal, self.begun(runs), self.pace, self.sizes, left, self.workers)


def make_plan(params: Params, study: Study, data: Prepared, engine: Engine, paths: Paths, console: Console) -> Planned:
    """Choose among the networks that the params allow by how fast they are here, and how many folds to fit.

    A network may have somewhat fewer epochs than the params say; where it has been fitted already, it has as many as
    then, so that those fits are of use.
    """
    workers, sizes = engine.at_once, _sizes(data)
    minutes = min(params.train.budget, _PRACTICE) if data.practice else params.train.budget
    allowed = {
        name: (engine.settle(spec, workers), normalise) for name, (spec, normalise) in networks(params, study).items()
    }
    runs = {
        (name, epochs): _run(spec.model_copy(update={"epochs": epochs}), normalise, params, data)
        for name, (spec, normalise) in allowed.items()
        for epochs in dict.fromkeys(max(1, round(share * spec.epochs)) for share in _SHARES)
    }
    cost = {name: _cost(spec, data) for name, (spec, _) in allowed.items()}
    known: dict[str, Pace] = {}
    name = sorted(allowed, key=lambda each: cost[each] * allowed[each][0].epochs)[len(allowed) // 2]
    while name not in known:
        longest = runs[name, allowed[name][0].epochs]
        known[name] = measured_pace(data, longest, workers, paths.runs / "machines", console)
        # of what has not been measured only the multiplications are known, and the benefit of the doubt decides
        paces = {each: known.get(each) or known[name].times(cost[each] / cost[name] / _DOUBT) for each in allowed}
        choice, goal = choose(
            {each: (_epochs(run, sizes), paces[each[0]]) for each, run in runs.items()},
            sizes,
            _PLANNED * minutes * 60,
            workers,
            data.fold_count,
            params.train.seed,
            params.train.fits,
        )
        name = choice[0]
    variants = [run for each, run in runs.items() if each[0] == name]
    chosen = max([runs[choice], *variants], key=lambda run: _finished(RunFolder(paths.runs, run), data))
    goal = replace(goal, epochs=_epochs(chosen, sizes))
    others = tuple(run for run in runs.values() if run != chosen)
    return Planned(name, chosen, others, goal, known[name], sizes, workers, minutes)


def _run(spec: CnnSpec, normalise: str, params: Params, data: Prepared) -> RunSpec:
    return run_spec("cnn", spec.model_dump(mode="json"), normalise, params.train.seed, data)


def _finished(folder: RunFolder, data: Prepared) -> int:
    """Number of fits."""
    return len(folder.done(data.fold_count)) + len(folder.wholes())


def _sizes(data: Prepared) -> Sizes:
    fold = len(data.train_rows(0))
    shown = len(data.valid_rows(0)) + len(data.holdout_rows) + len(data.test_images)
    return Sizes(fold, len(data.labels), shown)


def _epochs(run: RunSpec, sizes: Sizes) -> int:
    """Of a fold's fit, which small sets need more of."""
    steps = max(1, sizes.fold // int(run.model["batch_size"]))
    return max(int(run.model["epochs"]), ceil(int(run.model["min_steps"]) / steps))


def _cost(spec: CnnSpec, data: Prepared) -> float:
    return float(training_operations(parse_layers(spec.layers), data.image_shape, data.classes))
