"""How many fits share a machine follows from what was measured."""

from collections.abc import Callable
from typing import Any

import joblib
import pytest

from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.processes import ProcessDiedError, ProcessTimeoutError, Send
from digits.common.rounds import choice
from digits.training import probing
from digits.training.allocation import Budget, Option, allocate, best_option
from digits.training.learning_curves import LearningCurve
from digits.training.probing import BATCH_SIZES, PRECISIONS, Candidate, layouts
from digits.training.schedule import ScheduledFit, Sizes, Timing, simulate

ENOUGH = probing._ENOUGH["parallel_fits"]
# Of two fits of one thread on two cores with AVX2 (docs/experiments/unpadded-networks.md): images per second, epochs.
NETWORKS = {"small": (2150, 16), "medium": (1090, 33)}
CURVES = {"small": LearningCurve.of({8: 0.9944, 16: 0.9951}), "medium": LearningCurve.of({8: 0.9954, 26: 0.9967})}
SIZES = Sizes(fold=30_240, refit=42_000, predicted=39_760)


def speedup(threads: int, alone: float) -> float:
    """Of one fit by threads; `alone`: the share of it that one thread does (Amdahl, 1967)."""
    return 1 / (alone + (1 - alone) / threads)


def layout(cores: int, alone: float, room: float = 1e9) -> tuple[int, int]:
    """What is taken where the speeds are those of the law, without noise."""
    found = layouts(cores, cores, room=room)
    rounds = [[fits * speedup(threads, alone) for fits, threads in found]] * 6
    return found[choice(rounds, ENOUGH)[0]]


def plan(cores: int, alone: float, minutes: float = 5) -> tuple[str, list[ScheduledFit]]:
    """The network that `make train` takes, and its fits."""
    fits, threads = layout(cores, alone)
    budget = Budget(0.94 * minutes * 60, fits, SIZES, folds=5, refits=60, seed=0)
    factor = 1 / speedup(threads, alone)
    options = [
        Option(name, length, length, Timing(4, 1 / speed, 5e-4).slower(factor), CURVES[name])
        for name, (speed, epochs) in NETWORKS.items()
        for length in (round(share * epochs) for share in (0.3, 0.5, 0.7, 0.8, 0.9, 1.0))
    ]
    best = best_option(options, budget)
    [share] = allocate([best], budget)
    return best.network, simulate(share.goal, [], best.timing, SIZES, budget.seconds, fits)


# Whole fits with two threads on two cores did 1 / 1.48 of what two of one thread did: 0.48 of a fit is done by one.
@pytest.mark.parametrize(("cores", "fits", "threads"), [(1, 1, 1), (2, 2, 1), (4, 4, 1), (16, 16, 1), (64, 64, 1)])
def test_threads_that_gain_little_make_as_many_fits_as_cores(cores: int, fits: int, threads: int) -> None:
    assert layout(cores, alone=0.48) == (fits, threads)


@pytest.mark.parametrize(("cores", "fits"), [(2, 2), (4, 2), (8, 2), (16, 2), (64, 2)])
def test_of_layouts_that_do_as_much_the_one_with_fewest_fits_is_taken(cores: int, fits: int) -> None:
    assert layout(cores, alone=0) == (fits, cores // fits)


def test_two_cores_leave_no_choice() -> None:
    """So what is fitted on them does not depend on a measurement: two fits of one thread."""
    assert layouts(2, 2) == layouts(2, 1) == [(2, 1)]


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 6, 8, 12, 16, 24, 64, 96])
def test_layouts_use_the_machine_and_its_memory(cores: int) -> None:
    for physical in {cores, max(1, cores // 2)}:
        found = layouts(cores, physical)
        assert all(fits * threads <= cores for fits, threads in found)
        assert all(fits * threads >= 2 / 3 * cores or (fits, threads) == (physical, 1) for fits, threads in found)
        assert found == sorted(found)
        assert (cores, 1) in found
        assert all(fits <= 3.9 for fits, _ in layouts(cores, physical, room=3.9))
    assert layouts(cores, cores, room=1.5) == [(1, cores)]
    assert layouts(cores, cores, gpus=3) == [(3, max(1, cores // 3))]


def test_five_minutes_on_more_cores_make_more_models_in_time() -> None:
    models = {}
    for cores in (2, 4, 8, 16, 64):
        _, fits = plan(cores, alone=0.48)
        assert all(each.end <= 0.94 * 300 + 1 for each in fits)
        models[cores] = len(fits)
    assert models[2] == 2
    assert models[4] < models[8] < models[16] < models[64]


class Machine:
    """In place of subprocesses that train: each does what it is told, at a given speed, or dies."""

    error: Exception

    def __init__(self, speed: Callable[[Candidate], float], gpus: int = 0):
        self.speed, self.gpus, self.tried = speed, gpus, list[Candidate]()

    def run(self, task: Any, argument: tuple[int, Candidate], on_message: Send, *_: object) -> None:
        own, candidate = argument
        self.tried.append(candidate)
        turn = on_message({"gpus": self.gpus, "device": "H100" if self.gpus else "CPU", "memory": 800.0})
        while turn != probing._OVER:
            turn = on_message(self.speed(candidate) if turn == own else 0.0)


def settings(machine: Machine, monkeypatch: pytest.MonkeyPatch, cores: int, **known: Any) -> dict[str, Any]:
    monkeypatch.setattr(probing, "run_in_subprocess", machine.run)
    monkeypatch.setattr(joblib, "cpu_count", lambda **_: cores)
    monkeypatch.setattr(probing, "available_memory", lambda: 64_000.0)
    found = probing.probe(Console(plain=True), known, ())
    return {name: found[name] for name in ("gpus", "parallel_fits", "threads", "precision", "batch_size", "gain")}


def of_many_cores(candidate: Candidate) -> float:
    """Images per second of one process: bfloat16 is twice as fast, threads gain a third each time they double."""
    return 1000 * (1 + PRECISIONS.index(candidate.precision)) * float(candidate.threads**0.4)


def test_all_settings_are_measured_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(of_many_cores)
    assert settings(machine, monkeypatch, cores=16) == {
        "gpus": 0,
        "parallel_fits": 16,
        "threads": 1,
        "precision": "mixed_bfloat16",
        "batch_size": 128,
        "gain": 2.0,
    }
    assert len(machine.tried) == len(PRECISIONS) + (2 + 4 + 8 + 16) + len(BATCH_SIZES)


def test_a_gpu_has_one_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(Machine(of_many_cores, gpus=2), monkeypatch, cores=16)
    assert (found["gpus"], found["parallel_fits"], found["threads"]) == (2, 2, 8)


def test_what_was_found_before_stays_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is replaced where there is none."""
    monkeypatch.setattr(probing, "_ROUNDS", 0.0)  # one round is never enough
    known = {"precision": "float32", "batch_size": 256, "parallel_fits": 2, "threads": 8}
    found = settings(Machine(of_many_cores), monkeypatch, 16, **known)
    assert {name: found[name] for name in known} == known
    monkeypatch.undo()
    found = settings(Machine(of_many_cores), monkeypatch, 16, **known)
    assert [found[name] for name in known] == ["mixed_bfloat16", 128, 16, 1]


def test_a_process_that_dies_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying(Machine):
        def run(self, task: Any, argument: tuple[int, Candidate], on_message: Send, *rest: object) -> None:
            if argument[0] == 1:
                raise self.error
            super().run(task, argument, on_message, *rest)

    for error, said in (
        (ProcessDiedError("it was ended by SIGSEGV"), "TensorFlow does not run here: it was ended by SIGSEGV$"),
        (ProcessDiedError("ImportError: no tf"), "TensorFlow does not run here: ImportError: no tf; a package is dam"),
        (
            ProcessTimeoutError("took longer than 300 s"),
            "the speed test of this machine took longer than 300 s; close",
        ),
    ):
        machine = Dying(of_many_cores)
        machine.error = error
        with pytest.raises(UserError, match=said):
            settings(machine, monkeypatch, cores=16)
    machine.error = BlockingIOError("no process can be started")
    with pytest.raises(BlockingIOError):
        settings(machine, monkeypatch, cores=16)


def test_a_process_trains_in_its_turn_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its speed is that of its candidate, and 0 while others train."""
    asked: list[tuple[object, ...]] = []
    told: list[Any] = []
    turns = iter([0, 1, 0, 1, probing._OVER])

    class Probe:
        @staticmethod
        def prepare(*candidate: object) -> tuple[dict[str, int], Callable[[], float]]:
            asked.append(candidate)
            return {"gpus": 0}, lambda: 7.0

    def send(message: Any) -> int:
        told.append(message)
        return next(turns)

    monkeypatch.setattr(probing, "import_module", lambda _: Probe)
    probing._take_turns((1, Candidate(2, 3, "float32", 128)), send)
    assert asked == [(2, 3, "float32", 128)]
    assert told == [{"gpus": 0}, 0.0, 7.0, 0.0, 7.0]
