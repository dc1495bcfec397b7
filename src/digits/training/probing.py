"""Finds the fastest settings of this machine by timing the training steps of a small network in subprocesses."""

import resource
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from math import inf
from statistics import median
from threading import Barrier, BrokenBarrierError
from time import monotonic
from typing import Any, NamedTuple

import joblib

from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.host import available_memory
from digits.common.processes import ProcessDiedError, ProcessTimeoutError, Send, run_in_subprocess
from digits.common.rounds import choice
from digits.training.remedies import explained

_PROBE = "digits.models.cnn.probe"
_TIMEOUT = 300.0  # seconds that a subprocess may take; a few are usual
_ROUNDS = 6.0  # most seconds of measuring before a choice
_FILES = 8192  # open files, if the system allows so many
_OVER = -1  # sent in place of a candidate's number when the measuring is over
_MEMORY = 0.75  # share of the available memory that fits may use

# The candidates, in order of preference, and the share of the highest speed that is enough to be chosen. bfloat16 has
# few digits, so it must be more than a tenth faster. A smaller batch takes more steps per epoch, which are worth more
# than speed: six epochs of the default reach 0.9955 with 128 images per step, 0.9925 with 512. With fewer parallel fits
# each ends sooner, so that a better network can be fitted in the time, and they use less memory.
PRECISIONS = ("float32", "mixed_bfloat16")
BATCH_SIZES = (128, 256, 512)  # images; the learning rates in params.yaml suit all of them
_ENOUGH = {"precision": 0.9, "batch_size": 0.5, "parallel_fits": 0.9}


Rounds = list[list[float]]


class Candidate(NamedTuple):
    """Settings, named as in training.device.Device."""

    parallel_fits: int
    threads: int
    precision: str
    batch_size: int


def layouts(cores: int, physical: int, gpus: int = 0, room: float = inf) -> list[tuple[int, int]]:
    """Layouts to try: numbers of parallel fits, which share the cores, and of threads of each; the fewest fits first.

    One fit alone does not keep a machine busy: it traces, loads and saves on one core, and with two threads it uses
    1.44 cores (docs/experiments/training-speed.md). It is tried only if memory has no room for two. cores: threads that
    run at the same time; physical: without hyperthreading. gpus: with one fit each. room: fits that the memory holds.
    """
    if gpus:
        return [(gpus, max(1, cores // gpus))]
    counts = [cores // 2**power for power in range(cores.bit_length())]
    found = {*((fits, cores // fits) for fits in counts), (physical, 1)}
    return sorted(layout for layout in found if layout[0] > 1 and not layout[0] > room) or [(1, cores)]


def probe(console: Console, known: dict[str, Any], modules: Sequence[str]) -> dict[str, Any]:
    """The fields of a training.device.Device, and `measured`, the images per second that they were chosen by.

    known: the fields as they were found before; they are kept if the speeds leave a doubt. modules: preloaded for the
    subprocesses. Raises UserError if TensorFlow does not run or takes too long.
    """
    measured: dict[str, Any] = {}

    def chosen(candidates: Sequence[Candidate], *fields: str) -> Candidate:
        """The best of the candidates, which differ in these fields."""
        if len(candidates) == 1:
            return candidates[0]
        enough = _ENOUGH[fields[0]]
        tried = " and ".join(fields).replace("_", " ")
        with console.status(f"measuring the speed of this machine (once, some seconds): {tried}"):
            measured["seen"], rounds = _measure(candidates, enough, modules)
        measured[fields[0]] = {"candidates": candidates, "rounds": rounds}
        index, sure = choice(rounds, enough)
        before = [each for each in candidates if all(getattr(each, field) == known.get(field) for field in fields)]
        return before[0] if before and not sure else candidates[index]

    smallest = BATCH_SIZES[0]
    precision = chosen([Candidate(1, 1, each, smallest) for each in PRECISIONS], "precision").precision
    seen, cores = measured["seen"], joblib.cpu_count()
    gpus, room = seen["gpus"], _MEMORY * available_memory() / seen["memory"]
    shared = layouts(cores, joblib.cpu_count(only_physical_cores=True), gpus, room)
    fits, threads, *_ = chosen([Candidate(*each, precision, smallest) for each in shared], "parallel_fits", "threads")
    batch_size = chosen([Candidate(1, threads, precision, each) for each in BATCH_SIZES], "batch_size").batch_size
    gains = [speeds[PRECISIONS.index(precision)] / speeds[0] for speeds in measured["precision"]["rounds"]]
    return {
        "name": seen["device"],
        "gpus": gpus,
        **Candidate(fits, threads, precision, batch_size)._asdict(),
        "gain": round(median(gains), 2),
        "measured": measured,
    }


def _measure(candidates: Sequence[Candidate], enough: float, modules: Sequence[str]) -> tuple[dict[str, Any], Rounds]:
    """What TensorFlow sees, and the candidates' images per second in each round.

    Each fit of each candidate is a subprocess. The candidates train in turns: the fits of one run in parallel, while
    all others wait at the barrier.
    """
    tasks = [(number, each) for number, each in enumerate(candidates) for _ in range(each.parallel_fits)]
    rounds: Rounds = []
    told: list[Any] = []  # by the processes: what they see, then their images per second; 0 if it is not their turn
    seen: dict[str, Any] = {}
    turns, turn = _turns(len(candidates), enough, rounds), 0

    def end_turn() -> None:
        nonlocal turn
        turn = turns.send(sum(told) if seen else None)
        seen.update(seen or told[0])
        told.clear()

    # each process takes some file descriptors, and on a hundred cores there are hundreds of processes
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, _FILES)), hard))
    barrier = Barrier(len(tasks), end_turn)

    def on_message(message: Any) -> int:
        told.append(message)
        barrier.wait()
        return turn

    def run(task: tuple[int, Candidate]) -> Exception | None:
        try:
            run_in_subprocess(_take_turns, task, on_message, _TIMEOUT, modules)
        except Exception as error:  # returned
            barrier.abort()  # otherwise the others would wait for it
            return error
        return None

    with ThreadPoolExecutor(len(tasks)) as pool:
        try:
            ended = [*pool.map(run, tasks)]
        finally:
            barrier.abort()
    for error in (each for each in ended if each and not isinstance(each, BrokenBarrierError)):
        if isinstance(error, ProcessTimeoutError):
            raise UserError(f"the speed test of this machine {error}; close other programs, then type the same command")
        if isinstance(error, ProcessDiedError):
            raise UserError(f"TensorFlow does not run here: {explained(error)}")
        raise error
    return seen, rounds


def _turns(candidates: int, enough: float, rounds: Rounds) -> Generator[int, float | None, None]:
    """Yields whose turn it is, until the choice is clear or _ROUNDS seconds have passed; is sent each turn's speed."""
    end = monotonic() + _ROUNDS
    while not rounds or (monotonic() < end and not choice(rounds, enough)[1]):
        speeds: list[float] = []
        for number in range(candidates):
            speeds.append((yield number) or 0.0)
        rounds.append(speeds)
    yield _OVER


def _take_turns(task: tuple[int, Candidate], send: Send) -> None:
    own, candidate = task
    about, images_per_second = import_module(_PROBE).prepare(*candidate)
    turn = send(about)
    while turn != _OVER:
        turn = send(images_per_second() if turn == own else 0.0)
