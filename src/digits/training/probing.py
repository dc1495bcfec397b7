"""Finds the fastest settings of this machine by timing the training steps of a small network in subprocesses.

What is tried is a pure function of the cores, the memory, and what TensorFlow sees of GPUs (`look` of the probe).
"""

import resource
from collections.abc import Generator, Mapping, Sequence
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
from digits.training.cards import cards, use_gpu
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
# each ends sooner, so that a better network can be fitted in the time, and they use less memory. XLA must be half as
# fast again, because it compiles for some seconds in each fit.
PRECISIONS = ("float32", "mixed_bfloat16")
BATCH_SIZES = (128, 256, 512)  # images; the learning rates in params.yaml suit all of them
_ENOUGH = {"precision": 0.9, "jit_compile": 0.67, "batch_size": 0.5, "parallel_fits": 0.9}
# On GPUs. A small network leaves most of a card idle, so several fits may share one, or a step have more images.
_PER_CARD = (1, 2, 4)  # fits
_CARD_MEMORY = 3000.0  # MB that a fit may take of a card; computed, not measured: `deep` in batches of 1,024 needs half
_LARGE_BATCHES = (1024,)
_HAS_BFLOAT16 = (8, 0)  # compute capability; older cards, as the T4 of 7.5, have only float16


Rounds = list[list[float]]


class Candidate(NamedTuple):
    """Settings, named as in training.device.Device."""

    parallel_fits: int
    threads: int
    precision: str
    batch_size: int
    jit_compile: bool = False


def precisions(seen: Mapping[str, Any]) -> tuple[str, str]:
    """Precisions to try: float32, and the shorter one that the processor or the GPU computes with."""
    capability = seen.get("capability")
    return (PRECISIONS[0], "mixed_float16") if capability and tuple(capability) < _HAS_BFLOAT16 else PRECISIONS


def compilations(seen: Mapping[str, Any]) -> tuple[bool, ...]:
    """Values of jit_compile to try; on processors XLA was always slower."""
    return (False, True) if seen["gpus"] else (False,)


def batch_sizes(seen: Mapping[str, Any]) -> tuple[int, ...]:
    """Batch sizes to try."""
    return BATCH_SIZES + _LARGE_BATCHES if seen["gpus"] else BATCH_SIZES


def layouts(
    cores: int, physical: int, gpus: int = 0, room: float = inf, card_memory: float = 0.0
) -> list[tuple[int, int]]:
    """Layouts to try: numbers of parallel fits, which share the cores, and of threads of each; the fewest fits first.

    One fit alone does not keep a machine busy: it traces, loads and saves on one core, and with two threads it uses
    1.44 cores (docs/experiments/training-speed.md). It is tried only if memory has no room for two. cores: threads that
    run at the same time; physical: without hyperthreading. gpus: with one fit each, or several, if card_memory, MB of
    each, holds them. room: fits that the memory holds.
    """
    if gpus:
        several = [gpus * each for each in _PER_CARD if each * _CARD_MEMORY <= card_memory and gpus * each <= room]
        return [(fits, max(1, cores // fits)) for fits in sorted({gpus, *several})]
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
            rounds = _measure_what_runs(candidates, enough, modules, seen)
        candidates = candidates[: len(rounds[0])]
        measured[fields[0]] = {"candidates": candidates, "rounds": rounds}
        index, sure = choice(rounds, enough)
        before = [each for each in candidates if all(getattr(each, field) == known.get(field) for field in fields)]
        return before[0] if before and not sure else candidates[index]

    seen = measured["seen"] = _seen(modules)
    smallest = BATCH_SIZES[0]
    best = chosen([Candidate(1, 1, each, smallest) for each in precisions(seen)], "precision")
    tried = [candidate.precision for candidate in measured["precision"]["candidates"]]
    gains = [speeds[tried.index(best.precision)] / speeds[0] for speeds in measured["precision"]["rounds"]]
    best = chosen([best._replace(jit_compile=each) for each in compilations(seen)], "jit_compile")
    cores, physical = joblib.cpu_count(), joblib.cpu_count(only_physical_cores=True)
    room = _MEMORY * available_memory() / seen["memory"]
    shared = layouts(cores, physical, seen["gpus"], room, seen.get("card_memory", 0.0))
    best = chosen(
        [best._replace(parallel_fits=fits, threads=threads) for fits, threads in shared], "parallel_fits", "threads"
    )
    fits, alone = best.parallel_fits, best._replace(parallel_fits=1)
    best = chosen([alone._replace(batch_size=each) for each in batch_sizes(seen)], "batch_size")
    return {
        "name": seen["device"],
        "gpus": seen["gpus"],
        **best._replace(parallel_fits=fits)._asdict(),
        "gain": round(median(gains), 2),
        "measured": measured,
    }


def _seen(modules: Sequence[str]) -> dict[str, Any]:
    """What TensorFlow sees, found in a subprocess: a process that has listed GPUs cannot be forked."""
    told: list[dict[str, Any]] = []
    try:
        run_in_subprocess(_look, None, told.append, _TIMEOUT, modules)
    except ProcessDiedError as error:
        raise _explained(error) from None
    return told[0]


def _look(_: None, send: Send) -> None:
    send(import_module(_PROBE).look())


def _measure_what_runs(candidates: Sequence[Candidate], *common: Any) -> Rounds:
    """As `_measure`; on a GPU without the last candidates, if those do not run: XLA may miss a part of CUDA there."""
    *_, seen = common
    while True:
        try:
            return _measure(candidates, *common)
        except UserError:
            if not seen["gpus"] or len(candidates) == 1:
                raise
            candidates = candidates[:-1]


def _measure(candidates: Sequence[Candidate], enough: float, modules: Sequence[str], seen: dict[str, Any]) -> Rounds:
    """The candidates' images per second in each round.

    Each fit of each candidate is a subprocess. The candidates train in turns: the fits of one run in parallel, while
    all others wait at the barrier. seen: of `_seen`; it is told the memory that a fit takes.
    """
    tasks = [
        (number, each, gpu) for number, each in enumerate(candidates) for gpu in cards(seen["gpus"], each.parallel_fits)
    ]
    rounds: Rounds = []
    told: list[Any] = []  # by the processes: what they take, then their images per second; 0 if it is not their turn
    taken: dict[str, Any] = {}
    turns, turn = _turns(len(candidates), enough, rounds), 0

    def end_turn() -> None:
        nonlocal turn
        turn = turns.send(sum(told) if taken else None)
        taken.update(taken or told[0])
        told.clear()

    # each process takes some file descriptors, and on a hundred cores there are hundreds of processes
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, _FILES)), hard))
    barrier = Barrier(len(tasks), end_turn)

    def on_message(message: Any) -> int:
        told.append(message)
        barrier.wait()
        return turn

    def run(task: tuple[int, Candidate, str | None]) -> Exception | None:
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
        raise _explained(error) if isinstance(error, ProcessDiedError) else error
    seen |= taken
    return rounds


def _explained(error: ProcessDiedError) -> UserError:
    if isinstance(error, ProcessTimeoutError):
        return UserError(f"the speed test of this machine {error}; close other programs, then type the same command")
    return UserError(f"TensorFlow does not run here: {explained(error)}")


def _turns(candidates: int, enough: float, rounds: Rounds) -> Generator[int, float | None, None]:
    """Yields whose turn it is, until the choice is clear or _ROUNDS seconds have passed; is sent each turn's speed."""
    end = monotonic() + _ROUNDS
    while not rounds or (monotonic() < end and not choice(rounds, enough)[1]):
        speeds: list[float] = []
        for number in range(candidates):
            speeds.append((yield number) or 0.0)
        rounds.append(speeds)
    yield _OVER


def _take_turns(task: tuple[int, Candidate, str | None], send: Send) -> None:
    own, candidate, gpu = task
    use_gpu(gpu)
    about, images_per_second = import_module(_PROBE).prepare(*candidate)
    turn = send(about)
    while turn != _OVER:
        turn = send(images_per_second() if turn == own else 0.0)
