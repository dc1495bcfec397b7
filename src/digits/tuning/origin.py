"""What a study starts from: the model that would be submitted, how fast it is here, and the seconds of the rungs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

import joblib
from threadpoolctl import threadpool_limits

from digits.common.executors import Executor
from digits.config import Params
from digits.config.section import overlay
from digits.data.dataset import Dataset
from digits.models.architecture import parse_layers, training_operations
from digits.models.distributions import Space, suggest
from digits.models.points import Limits, nearest_values, to_params
from digits.models.search_space import narrow_space
from digits.training.budget import Plan
from digits.training.candidates import network_runs
from digits.training.crossval import fit_on
from digits.training.device import Device
from digits.training.schedule import Timing
from digits.tuning.records import Overrides
from digits.tuning.study import Known, SearchPlan
from digits.tuning.trial import Pace, first_step, rungs

if TYPE_CHECKING:
    import optuna

    from digits.common.console import Console

# Fits at the highest rung that the budget has time for on all workers together: the search spends the time of about
# five on each of three rungs, the confirmation makes fifteen.
_FULL_FITS = 30
_OVERHEAD = 3.0  # a fit takes at least this many times the seconds of its start and predictions
# Seconds of a fit, at least. A trial takes 0.3 to 0.5 s beside its fits, to draw its values, start a process and write
# the database. Each of three rungs gets as much time in all as the first, so this is 5 % of a search. A search of a
# minute or two has shorter fits, of which it has time for so many at least.
_LEAST, _FITS = 3.0, 100
_LARGEST = 3.0  # most multiplications of a network, as a multiple of the origin's
_SAMPLE = 2000  # images that show how fast an MLP learns, as often as it takes where there are fewer
_FEWER = 4  # times fewer images of a shorter fit, which shows what of this is the start
_FIXED = 4.0  # most times that a fit of so many images may take longer than its steps
_ORIGIN = "origin"  # attribute of the study
_LENGTHS = ("epochs", "min_steps")


@dataclass(frozen=True)
class Origin:
    """The model that a search starts from.

    name: of the network, or of the baseline. spec: its parameters as in params. epochs: of a fit at the highest rung; a
    fraction where not all images are seen. pace: of its fits here. rungs: seconds of the fits here, ascending.
    """

    name: str
    spec: Any
    epochs: float
    pace: Pace
    rungs: tuple[float, ...]


@dataclass(frozen=True)
class Machine:
    """Where a search runs. device, plan: called for networks only, because they may load TensorFlow and measure it.

    executor: has at least so many slots. timing: as `measured_timing`. slots: fits that a cluster runs in parallel; 0:
    the fits run on this computer.
    """

    device: Callable[[], Device]
    plan: Callable[[], Plan]
    timings: Path
    console: "Console"
    executor: Callable[[int], Executor]
    timing: Callable[..., Timing]
    slots: int = 0


def find_origin(study: "optuna.Study", params: Params, data: Dataset, machine: Machine, workers: int) -> Origin:
    """The network of the plan for these params, or the baseline that is tuned.

    The first command of a study decides which, how many epochs the fits at the highest rung have, as many as the plan's
    or as the search has time for, and the other rungs' shares of its seconds. Later commands, and other machines, take
    the same.
    """
    images = len(data.train_rows(0))
    known = study.user_attrs.get(_ORIGIN)
    name = params.tune.model
    if name == "train":
        name, epochs = (known["name"], known["epochs"]) if known else _planned(machine.plan(), images)
        spec: Any = params.train.spec if params.train.network else params.network(name)
        [*_, run] = network_runs({name: spec}, params, data, machine.device()).values()
        timing = machine.timing(data, run, machine.device(), machine.timings, machine.console)
        pace = Pace(timing.start, timing.per_prediction * len(data.valid_rows(0)), 1 / timing.per_image)
    else:
        spec = params.baseline.models[name]
        pace = mlp_pace(data, spec.model_dump(mode="json"), params.data.normalise, 0)
        epochs = known["epochs"] if known else spec.max_iter
    if not known:
        time = params.tune.budget * 60 * workers
        shortest = _shortest(pace, data, time)
        longest = max(shortest, min(pace.seconds(epochs * images), time / _FULL_FITS))
        shares = [seconds / longest for seconds in rungs(longest, shortest, params.tune.reduction_factor)]
        known = {"name": name, "epochs": pace.images(longest) / images, "rungs": shares}
        study.set_user_attr(_ORIGIN, known)
    longest = pace.seconds(known["epochs"] * images)
    return Origin(name, spec, known["epochs"], pace, tuple(share * longest for share in known["rungs"]))


def mlp_pace(data: Dataset, model: dict[str, Any], normalise: str, fold: int) -> Pace:
    """How fast an MLP is fitted on one thread, by fits of few and of more images, in the process's own time.

    Where there are few, they are seen several times, or the start would hide them. A fit before these is not timed: the
    first one in a process loads libraries, which takes longer than it does. The predictions are those of prepared
    images: each trial adds the time in which it prepares its own.
    """
    rows = data.train_rows(fold)
    many = rows[:: max(1, len(rows) // _SAMPLE)]
    few, epochs, seconds = many[::_FEWER], ceil(_SAMPLE / len(many)), list[float]()
    short = model | {"max_iter": epochs, "n_iter_no_change": epochs, "early_stopping": False}
    fitted: Any
    with threadpool_limits(1):
        for sample in (few, few, many):
            started = process_time()
            fitted = fit_on(data, sample, sample[:0], short, normalise, 0)
            seconds.append(process_time() - started)
        prepared = fitted[:-1].transform(data.images[many])
        started = process_time()
        fitted[-1].predict_proba(prepared)
        predicting = (process_time() - started) / len(many) * len(data.valid_rows(fold))
    _, fewer, more = seconds
    images, fewer_images = epochs * len(many), epochs * len(few)
    per_image = max((more - fewer) / max(1, images - fewer_images), more / images / _FIXED)
    return Pace(max(0.0, fewer - fewer_images * per_image), predicting, 1 / per_image)


def _planned(plan: Plan, images: int) -> tuple[str, float]:
    """The plan's first network, and the epochs of its fits on so many images."""
    part = plan.parts[0]
    return part.name, part.goal.epochs * plan.sizes.fold / images


def _shortest(pace: Pace, data: Dataset, time: float) -> float:
    """Seconds of the shortest fit that is worth its start. time: of all workers together."""
    return max(min(_LEAST, time / _FITS), _OVERHEAD * (pace.start + pace.predict / first_step(len(data.valid_rows(0)))))


def workers_of(params: Params, machine: Machine) -> int:
    """Fits in parallel: a network's trial sees all GPUs and uses one; a baseline's trial uses one core."""
    if fixed := params.tune.workers or machine.slots:
        return fixed
    if params.tune.model != "train":
        return int(joblib.cpu_count())
    return 1 if machine.device().gpus else machine.device().parallel_fits


def search_plan(origin: Origin, resolve: Callable[[Any], Any], params: Params, data: Dataset) -> SearchPlan:
    """The search around an origin. resolve: gives a model's parameters a value for every `auto`."""
    tune, spec = params.tune, resolve(origin.spec)
    default, space = spec.model_dump(mode="json"), narrow_space(spec.kind, params.tune.space)
    limits = Limits(data.image_shape, data.classes, data.channels)
    if spec.kind == "cnn":
        size = training_operations(parse_layers(spec.layers), data.image_shape, data.classes, data.channels)
        limits = replace(limits, operations=_LARGEST * size)
    known = {origin.name: spec, **{name: resolve(other) for name, other in _others(origin, params).items()}}
    return SearchPlan(
        kind=spec.kind,
        space=space,
        limits=limits,
        known={name: _known(differences(each, spec), default, space, limits) for name, each in known.items()},
        rungs=origin.rungs,
        seed=tune.seed,
        n_trials=tune.n_trials,
    )


def _others(origin: Origin, params: Params) -> dict[str, Any]:
    """The other networks of the params that the images are large enough for, by name."""
    if params.tune.model != "train":
        return {}
    specs = {name: params.network(name) for name in (*params.train.candidates, *params.train.extra)}
    specs |= {name: params.over_train(overrides) for name, overrides in params.tune.enqueue.items()}
    return {name: spec for name, spec in specs.items() if params.fits(spec) and name != origin.name}


def differences(spec: Any, below: Any) -> Overrides:
    """The parameters of a model that differ from another one's, but for the length of a fit."""
    values, others = spec.model_dump(mode="json"), below.model_dump(mode="json")
    return {name: value for name, value in values.items() if value != others[name] and name not in _LENGTHS}


def _known(overrides: Overrides, default: dict[str, Any], space: Space, limits: Limits) -> Known:
    """A model to begin with, and its point of the space if the space has one with the same layers."""
    model = overlay(default, overrides)
    values = nearest_values(space, model, limits.image_shape)
    layers = "layers" if "layers" in model else "hidden_layer_sizes"
    drawn = to_params(model["kind"], suggest(_Fixed(values), space), limits) if values else {layers: None}
    return Known(overrides, values if drawn[layers] == model[layers] else {})


@dataclass(frozen=True)
class _Fixed:
    """Suggests given values."""

    values: dict[str, Any]

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """The value given."""
        return self.values[name]

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """The value given."""
        return int(self.values[name])

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        """The value given."""
        return float(self.values[name])
