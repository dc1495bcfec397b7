"""The plan of `make train`: which fits the minutes are spent on, for these params, data and device.

Every command makes the same plan from the same params, so `make ensemble` finds the runs that `make train` has fitted.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from math import ceil
from pathlib import Path

from digits.common.console import Console
from digits.common.sealed import read_json
from digits.config import Params, Paths
from digits.data.dataset import Dataset
from digits.data.sample import Sample, sampled
from digits.models.architecture import parse_layers, training_operations
from digits.training.allocation import Budget, Option, best_share, expected_errors, least_seconds, shared_out
from digits.training.candidates import Length, is_measured, learning_curves, network_runs, networks
from digits.training.device import Device
from digits.training.learning_curves import LearningCurve, blended
from digits.training.runs import RunFolder, RunSpec, Units, unit_metrics
from digits.training.schedule import Fit, Goal, ScheduledFit, Sizes, Timing, fit_seconds, simulate
from digits.training.timing import measured_timing

# Shares of the budget: the time that is planned (the rest is for fits that take longer than expected, and for the
# blend), and the time at which fits that are still running are stopped.
_PLANNED, _AT_MOST = 0.94, 1.02
_HARDLY_MORE = 1.02  # times the errors: two images of the digits' 28,000
USED_UP = "budget.json"  # in a run's folder: the largest budget, in minutes, that a command has used up
_PRACTICE = 1.0  # minutes; enough for the practice set, whose scores mean nothing
_OPTIMISM = 1.4  # a network not measured yet may be this many times faster than its multiplications suggest


@dataclass(frozen=True)
class Part:
    """What is planned for one network.

    name: of the network. spec: its run. goal, timing: as in training.schedule. seconds: its share of the budget, for
    each worker. errors: expected error rates of its fits, 0 to 1; None if it was not measured on the competition.
    """

    name: str
    spec: RunSpec
    goal: Goal
    timing: Timing
    seconds: float
    errors: tuple[float, ...] | None = None

    def units(self, runs: Path) -> Units:
        """Its units that are finished now."""
        return RunFolder(runs, self.spec).units(self.goal.folds)

    def finished(self, runs: Path) -> list[Fit]:
        """The fits that are finished now."""
        return self.fits(self.units(runs))

    def fits(self, units: Units) -> list[Fit]:
        """The fits of its units, in the order of their paths."""
        return [*map(self.goal.fold_fit, units.folds), *units.refits]


@dataclass(frozen=True)
class Plan:
    """What a budget is spent on: a part for each network, one after the other.

    alternatives: runs that other budgets would have chosen. data: the images of the fits: a sample where a fold and a
    refit of all of them have no time. sizes: as in training.allocation. device: runs the fits. minutes: the budget.
    least: the smallest budget, in minutes, without a sample.
    """

    parts: tuple[Part, ...]
    alternatives: tuple[RunSpec, ...]
    data: Dataset
    sizes: Sizes
    device: Device
    minutes: float
    least: float

    @property
    def sampled(self) -> bool:
        """Whether its fits learn a share of the labelled images."""
        return isinstance(self.data, Sample)

    @property
    def error(self) -> float | None:
        """Expected error rate of the submission, 0 to 1; None if a network was not measured on this competition."""
        return None if self._errors is None else blended(self._errors)

    @property
    def generous(self) -> bool:
        """Whether half of the fits are expected to make hardly more errors, because a blend of many gains little."""
        errors = () if self.sampled else self._errors or ()  # with more minutes a sample is larger
        return len(errors) > 1 and blended(errors[: len(errors) // 2]) < _HARDLY_MORE * blended(errors)

    @property
    def _errors(self) -> list[float] | None:
        """Expected error rates of all fits, the longest network's first; None if one was not measured."""
        expected = [part.errors for part in self.parts]
        return None if None in expected else [error for errors in expected for error in errors or ()]

    def ends(self, runs: Path) -> tuple[list[float], float]:
        """Seconds from now until each part ends, and until no fit may run any longer.

        The time that finished fits took is subtracted from the budget.
        """
        spent = [part.units(runs).seconds / self.device.parallel_fits for part in self.parts]
        due = accumulate(max(0.0, part.seconds - own) for part, own in zip(self.parts, spent, strict=True))
        left, at_most = (share * self.minutes * 60 - sum(spent) for share in (_PLANNED, _AT_MOST))
        return [min(end, left) for end in due], at_most

    def schedule(self, part: Part, runs: Path, left: float) -> list[ScheduledFit]:
        """The fits that a part will make in the next `left` seconds."""
        device, finished = self.device, part.finished(runs)
        return simulate(part.goal, finished, part.timing, self.sizes, left, device.parallel_fits, device.slower)

    def used_up(self, runs: Path) -> bool:
        """Whether a command has used up a budget of at least these minutes, for all parts."""
        known = (read_json(RunFolder(runs, part.spec).path / USED_UP) for part in self.parts)
        return all(each is not None and each["minutes"] >= self.minutes for each in known)

    def slowdowns(self, runs: Path, known: Collection[Path]) -> list[float]:
        """Durations of the fits that are not `known`, as multiples of the expected ones.

        Fits on one thread count by processor time, as in a timing, so other programs do not cause a new measurement.
        """
        factors = []
        for part in self.parts:
            units, one_thread = part.units(runs), part.spec.model["threads"] == 1 and not self.device.gpus
            if part.spec.model["early_stopping_patience"] is not None:
                continue  # early stopping: the number of epochs is not known in advance
            for path, fit in zip(units.paths, part.fits(units), strict=True):
                if path not in known:
                    unit = unit_metrics(path)
                    seconds = unit["fit_seconds"] + unit["predict_seconds"]
                    used = min(seconds, unit["processor_seconds"]) if one_thread else seconds
                    factors.append(used / fit_seconds(fit, part.timing, self.sizes))
        return factors


def make_plan(
    params: Params,
    data: Dataset,
    device: Device,
    paths: Paths,
    console: Console,
    timing: Callable[..., Timing] | None = None,
) -> Plan:
    """Pick the network and length that are expected to give the best blend here in the time, and share the time out.

    A network that was fitted before gets as many epochs as then, if they are not far too few, so that those fits can be
    used. If the speed of a network in the plan is not known yet, it is measured, and the plan is made again. timing:
    measures it, with the arguments of `measured_timing`, in place of this function.
    """
    minutes = min(params.train.budget, _PRACTICE) if data.practice else params.train.budget
    on_all = Budget(
        seconds=_PLANNED * minutes * 60,
        workers=device.parallel_fits,
        sizes=_sizes(data),
        folds=data.fold_count,
        refits=params.train.refits,
        seed=params.train.seed,
    )
    candidates, extra = networks(params)
    runs_on_all = network_runs(candidates | extra, params, data, device)
    longest = {name: run for (name, _), run in runs_on_all.items()}
    curves = learning_curves(params, candidates | extra)

    def measured(name: str) -> Timing:
        return (timing or measured_timing)(data, longest[name], device, paths.runs / "machines", console)

    def options(budget: Budget) -> dict[str, list[Option]]:
        return _options(runs_on_all, _estimated(timings, longest, data), curves, budget)

    def least(share: int) -> float:
        budget = replace(on_all, sizes=_sizes(data, share))
        return min(least_seconds(option, budget) for name in candidates for option in options(budget)[name])

    # the last but one first: the best one takes a long budget or a fast machine
    timings = {(first := [*candidates][-2:][0]): measured(first)}
    while True:
        learned = sampled(data, best_share(least, on_all.seconds, on_all.sizes.fold), params.train.seed)
        budget = replace(on_all, sizes=_sizes(learned), slower=device.slower)
        runs = network_runs(candidates | extra, params, learned, device)
        finished = {key: len(RunFolder(paths.runs, run).units(data.fold_count).paths) for key, run in runs.items()}
        shares = shared_out(options(budget), [*candidates], [*extra], finished, budget)
        unknown = [share.option.network for share in shares if share.option.network not in timings]
        if not unknown:
            break
        timings[unknown[0]] = measured(unknown[0])
    parts = {
        (length := (share.option.network, share.option.length)): Part(
            share.option.network,
            runs[length],
            share.goal,
            share.option.timing,
            share.seconds,
            expected_errors(share, budget) if not data.practice and is_measured(params, share.option.network) else None,
        )
        for share in shares
    }
    for folder in (RunFolder(paths.runs, part.spec) for part in parts.values()):
        if not folder.check():
            (folder.path / USED_UP).unlink(missing_ok=True)
    others = [run for length, run in runs.items() if length not in parts]
    if learned is not data:
        others += runs_on_all.values()
    return Plan((*parts.values(),), (*others,), learned, budget.sizes, device, minutes, least(1) / _PLANNED / 60)


def _sizes(data: Dataset, share: int = 1) -> Sizes:
    """Sizes of fits on one in `share` of the labelled images."""
    judged = len(data.valid_rows(0)) + len(data.holdout_rows)
    fold, refit = (len(data.train_rows(which)) // share for which in (0, None))
    return Sizes(fold, refit, judged // share + len(data.test_images))


def _estimated(measured: Mapping[str, Timing], runs: Mapping[str, RunSpec], data: Dataset) -> dict[str, Timing]:
    """Timings of all networks; those not measured are estimated, by multiplications, from the one measured last.

    The estimates are optimistic (_OPTIMISM), so that no network is ruled out before it is measured.
    """
    images = data.image_shape, data.classes, data.channels
    cost = {name: float(training_operations(parse_layers(run.model["layers"]), *images)) for name, run in runs.items()}
    last = [*measured][-1]
    guessed = {name: measured[last].slower(cost[name] / cost[last] / _OPTIMISM) for name in runs}
    return guessed | dict(measured)


def _options(
    runs: Mapping[Length, RunSpec],
    timings: Mapping[str, Timing],
    curves: Mapping[str, LearningCurve],
    budget: Budget,
) -> dict[str, list[Option]]:
    """The candidate plans of each network, from the shortest fits to the longest."""
    options: dict[str, list[Option]] = {}
    for (name, length), run in runs.items():
        epochs = _fold_epochs(run, budget.sizes)
        options.setdefault(name, []).append(Option(name, length, epochs, timings[name], curves[name]))
    return options


def _fold_epochs(run: RunSpec, sizes: Sizes) -> int:
    """Epochs of a fold's fit: more than the params say if the data set is too small to give enough steps."""
    steps = max(1, sizes.fold // int(run.model["batch_size"]))
    return max(int(run.model["epochs"]), ceil(int(run.model["min_steps"]) / steps))
