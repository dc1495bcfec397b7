"""What more workers bring, by the plan's own simulator: no fit is made. Type `python -m benchmarks.growth`.

Each command plans with the mean speed of its workers, as with CLUSTER=. Then each worker takes one fit after the other
by its own speed, as `training.executor` lets it. The figures follow from the speeds below.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path

from digits.common.console import Console
from digits.common.markdown import table
from digits.config import Params, load_params
from digits.models.architecture import parse_layers, training_operations
from digits.training.allocation import Budget, Option, shared_out
from digits.training.candidates import learning_curves, networks
from digits.training.learning_curves import blended
from digits.training.schedule import Fit, Sizes, Timing, simulate

PARAMS = Path(__file__).parent.parent / "params.yaml"
WORKERS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
MINUTES = (5, 60)
# `medium` on one thread of a processor with AVX512-BF16: seconds to start; images per second, learned and predicted
START, LEARNED, PREDICTED = 5.0, 2700.0, 18_000.0
MIXED = (1.0, 2.0, 4.0)  # seconds of a fit, as multiples of those of the quickest third of the workers
SIZES = Sizes(fold=26_880, refit=42_000, predicted=6_720 + 8_400 + 28_000)  # digit-recognizer
PLANNED = 0.94  # share of the budget
NETWORK = 125e6  # bytes per second, one gigabit
ARRAYS, RESULT = 70_000 * 784, 2.3e6  # bytes of all images, and of what a fit of `medium` brings back
PLACED = 0.1  # seconds of the client for each result, assumed


@dataclass(frozen=True)
class Outcome:
    """A simulated command: what it fits, in how many seconds, the share of them in which workers wait, its errors."""

    names: str
    folds: int
    refits: int
    seconds: float
    idle: float
    error: float


def options(params: Params) -> tuple[dict[str, list[Option]], list[str], list[str]]:
    """Candidate plans by network, the names of the candidates and of the extra networks."""
    candidates, extra = networks(params)
    curves = learning_curves(params, candidates | extra)
    images = (28, 28), 10, 1
    cost = {
        name: training_operations(parse_layers(spec.layers), *images) for name, spec in (candidates | extra).items()
    }
    found: dict[str, list[Option]] = {}
    for name, spec in (candidates | extra).items():
        timing = Timing(START, 1 / LEARNED, 1 / PREDICTED).slower(cost[name] / cost["medium"])
        lengths = dict.fromkeys(max(1, round(share / 20 * spec.epochs)) for share in range(4, 21))
        found[name] = [Option(name, epochs, epochs, timing, curves[name]) for epochs in lengths]
    return found, [*candidates], [*extra]


def speeds(workers: int, mixed: bool) -> list[float]:
    """Seconds of a fit on each worker, as multiples of the mean that the plan works with."""
    own = [MIXED[number % len(MIXED)] if mixed else 1.0 for number in range(workers)]
    mean = workers / sum(1 / each for each in own)
    return [each / mean for each in own]


def run(params: Params, minutes: float, slower: Sequence[float], known: bool) -> Outcome:
    """A command with so many minutes on workers of these speeds. known: whether its plan knows each, or the mean."""
    found, candidates, extra = options(params)
    seconds, workers = PLANNED * minutes * 60, len(slower)
    budget = Budget(seconds, workers, SIZES, 5, params.train.refits, params.train.seed, tuple(slower) if known else ())
    finished = {(name, option.length): 0 for name, each in found.items() for option in each}
    at, end, busy, fits, errors = 0.0, 0.0, 0.0, list[Fit](), list[float]()
    shares = shared_out(found, candidates, extra, finished, budget)
    for share in shares:
        end += share.seconds
        timing, curve = share.option.timing, share.option.curve
        for each in simulate(share.goal, [], timing, SIZES, end - at, workers, slower):
            fits.append(each.fit)
            busy += each.end - each.start
            errors.append(curve.error(each.fit.epochs, SIZES.refit if each.fit.fold is None else SIZES.fold))
        at = end
    folds = sum(fit.fold is not None for fit in fits)
    names = " ".join(f"{share.option.network} {share.option.epochs}" for share in shares)
    return Outcome(names, folds, len(fits) - folds, end, 1 - busy / (workers * end), blended(errors))


def main() -> None:
    """Print the tables."""
    params, console = load_params(PARAMS), Console()
    for minutes in MINUTES:
        rows = []
        for workers in WORKERS:
            equal = run(params, minutes, speeds(workers, False), False)
            mixed = [run(params, minutes, speeds(workers, True), known) for known in (False, True)]
            cells = [
                cell
                for each in (equal, *mixed)
                for cell in (each.names, f"{each.folds} + {each.refits}", f"{each.idle:.0%}", f"{1 - each.error:.4f}")
            ]
            fits = equal.folds + equal.refits
            sent = f"{ARRAYS / NETWORK * (1 + ceil(log2(workers))):.1f} s"
            client = f"{fits * max(PLACED, RESULT / NETWORK) / equal.seconds:.1%}"
            rows.append([f"{workers:,}", *cells, sent, client])
        headings = ["workers", *3 * ["networks", "fits", "idle", "accuracy"], "arrays", "client"]
        console.say(
            f"{minutes} minutes: equal workers; mixed, of which the plan knows the mean; each of which it knows"
        )
        console.say(table(headings, rows, "r" + 3 * "lrrr" + "rr"), copied=True)


if __name__ == "__main__":
    main()
