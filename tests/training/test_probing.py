"""How many fits share a machine follows from what was measured."""

import os
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
from digits.training.probing import (
    BATCH_SIZES,
    PRECISIONS,
    Candidate,
    batch_sizes,
    compilations,
    layouts,
    precisions,
)
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


CPU: dict[str, Any] = {"gpus": 0, "device": "CPU"}
T4S: dict[str, Any] = {"gpus": 2, "device": "Tesla T4", "capability": (7, 5), "card_memory": 14_000.0}


class Machine:
    """In place of subprocesses that train: each does what it is told, at a given speed, or dies.

    fails: which candidates do not run there.
    """

    error: Exception

    def __init__(
        self,
        speed: Callable[[Candidate], float],
        seen: dict[str, Any] = CPU,
        fails: Callable[[Candidate], bool] = lambda _: False,
    ):
        self.speed, self.seen, self.fails = speed, seen, fails
        self.tried, self.cards = list[Candidate](), set[tuple[Candidate, str | None]]()

    def run(self, task: Any, argument: Any, on_message: Send, *_: object) -> None:
        if task is probing._look:
            on_message(dict(self.seen))
            return
        own, candidate, card = argument
        self.tried.append(candidate)
        self.cards.add((candidate, card))
        if self.fails(candidate):
            raise ProcessDiedError("InternalError: libdevice not found")
        turn = on_message({"memory": 800.0})
        while turn != probing._OVER:
            turn = on_message(self.speed(candidate) if turn == own else 0.0)


def settings(machine: Machine, monkeypatch: pytest.MonkeyPatch, cores: int, **known: Any) -> dict[str, Any]:
    monkeypatch.setattr(probing, "run_in_subprocess", machine.run)
    monkeypatch.setattr(joblib, "cpu_count", lambda **_: cores)
    monkeypatch.setattr(probing, "available_memory", lambda: 64_000.0)
    found = probing.probe(Console(plain=True), known, ())
    assert found["measured"]["seen"]["memory"] == 800.0
    fields = ("gpus", "parallel_fits", "threads", "precision", "batch_size", "jit_compile", "gain")
    return {name: found[name] for name in fields}


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
        "jit_compile": False,
        "gain": 2.0,
    }
    assert len(machine.tried) == len(PRECISIONS) + (2 + 4 + 8 + 16) + len(BATCH_SIZES)


def test_a_processor_has_the_candidates_that_it_always_had() -> None:
    """So a machine without a GPU makes the choices that it has made before."""
    assert precisions(CPU) == ("float32", "mixed_bfloat16")
    assert compilations(CPU) == (False,)
    assert batch_sizes(CPU) == (128, 256, 512)
    assert Candidate(2, 1, "float32", 128) == (2, 1, "float32", 128, False)


@pytest.mark.parametrize(
    ("capability", "shorter"),
    [
        ((7, 0), "mixed_float16"),  # V100
        ((7, 5), "mixed_float16"),  # T4
        ([7, 5], "mixed_float16"),  # as JSON has it
        ((8, 0), "mixed_bfloat16"),  # A100
        ((9, 0), "mixed_bfloat16"),  # H100
        ((10, 0), "mixed_bfloat16"),
        (None, "mixed_bfloat16"),  # not from NVIDIA
    ],
)
def test_float16_is_for_cards_that_have_no_bfloat16(capability: Any, shorter: str) -> None:
    assert precisions({**T4S, "capability": capability}) == ("float32", shorter)


@pytest.mark.parametrize(
    ("gpus", "cores", "memory", "room", "expected"),
    [
        (1, 8, 14_000, 100, [(1, 8), (2, 4), (4, 2)]),
        (2, 4, 14_000, 100, [(2, 2), (4, 1), (8, 1)]),  # two T4 of Kaggle
        (2, 4, 14_000, 7.9, [(2, 2), (4, 1)]),
        (1, 8, 8_000, 100, [(1, 8), (2, 4)]),
        (1, 8, 4_000, 100, [(1, 8)]),
        (1, 8, 1_000, 0.5, [(1, 8)]),
        (8, 96, 80_000, 1000, [(8, 12), (16, 6), (32, 3)]),
    ],
)
def test_a_card_has_as_many_fits_as_its_memory_and_the_machine_s_hold(
    gpus: int, cores: int, memory: float, room: float, expected: list[tuple[int, int]]
) -> None:
    assert layouts(cores, cores, gpus, room, memory) == expected


def of_a_card(candidate: Candidate) -> float:
    """Images per second of one process: steps of a small network wait for their start, so several fits share a card.

    float16 is three times as fast, XLA twice; a step of any size takes as long.
    """
    shared = {2: 1.0, 4: 0.9, 8: 0.5}.get(candidate.parallel_fits, 1.0)
    faster: float = 3.0 ** (candidate.precision != "float32") * 2**candidate.jit_compile
    return float(1000 * faster * shared * candidate.batch_size / 128)


def test_on_gpus_everything_is_tried_on_each_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    machine = Machine(of_a_card, T4S)
    assert settings(machine, monkeypatch, cores=4) == {
        "gpus": 2,
        "parallel_fits": 4,  # eight are hardly faster
        "threads": 1,
        "precision": "mixed_float16",
        "batch_size": 512,  # half as fast as 1,024
        "jit_compile": True,
        "gain": 3.0,
    }
    assert len(machine.tried) == 2 + 2 + (2 + 4 + 8) + 4
    assert {candidate.batch_size for candidate in machine.tried} == {128, 256, 512, 1024}
    for candidate in machine.tried:
        used = {card for tried, card in machine.cards if tried == candidate}
        assert used == ({"3"} if candidate.parallel_fits == 1 else {"3", "5"})


def test_what_does_not_run_on_a_gpu_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(candidate: Candidate) -> bool:
        return candidate.jit_compile or candidate.parallel_fits == 8 or candidate.batch_size == 1024

    found = settings(Machine(of_a_card, T4S, fails), monkeypatch, cores=4)
    assert (found["jit_compile"], found["parallel_fits"], found["batch_size"]) == (False, 4, 256)
    found = settings(Machine(of_a_card, T4S, lambda each: each.precision != "float32"), monkeypatch, cores=4)
    assert (found["precision"], found["gain"]) == ("float32", 1.0)
    with pytest.raises(UserError, match="TensorFlow does not run here: InternalError"):
        settings(Machine(of_a_card, T4S, lambda _: True), monkeypatch, cores=4)
    with pytest.raises(UserError, match="TensorFlow does not run here: InternalError"):
        settings(Machine(of_many_cores, CPU, lambda each: each.precision != "float32"), monkeypatch, cores=4)


def test_xla_that_gains_less_than_its_compilation_takes_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(Machine(lambda each: 1000 * 1.3**each.jit_compile, T4S), monkeypatch, cores=4)
    assert found["jit_compile"] is False


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
        def run(self, task: Any, argument: Any, on_message: Send, *rest: object) -> None:
            if argument and argument[0] == 1:
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
            asked.append((*candidate, os.environ["CUDA_VISIBLE_DEVICES"]))
            return {"memory": 800}, lambda: 7.0

    def send(message: Any) -> int:
        told.append(message)
        return next(turns)

    monkeypatch.setattr(probing, "import_module", lambda _: Probe)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "all")
    probing._take_turns((1, Candidate(2, 3, "float32", 128), "5"), send)
    assert asked == [(2, 3, "float32", 128, False, "5")]
    assert told == [{"memory": 800}, 0.0, 7.0, 0.0, 7.0]
