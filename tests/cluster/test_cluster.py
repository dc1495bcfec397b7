"""Fits on real workers of a real scheduler on this computer: the same bits, and no fit lost or made twice."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from distributed import LocalCluster

from clusters import CONSOLE, SAME_PATHS, WAIT, begun, connected, job, never, two_that_wait, until
from digits.cluster import client as client_module
from digits.cluster import connection
from digits.cluster.admission import refusal
from digits.cluster.client import Cluster
from digits.cluster.machines import cluster_device, cluster_timing
from digits.common.code_version import library_version
from digits.common.errors import DivergedError, UserError
from digits.common.executors import Executor, Job, Place, Processes, run_job
from digits.common.processes import ProcessDiedError, ProcessStoppedError, ProcessTimeoutError
from digits.common.sealed import intact, save_folder
from digits.config import Params
from digits.data.dataset import Dataset
from digits.training.budget import Part
from digits.training.executor import execute
from digits.training.parallel import fit_in_parallel
from digits.training.runs import RunFolder, run_spec
from digits.training.schedule import Goal, Sizes, Timing
from tools.cluster import local_cluster
from toy_jobs import adds, dies, fails, tells_of_its_place, waits, write
from toys import ROOT, digits_command, write_toy_files

pytestmark = pytest.mark.slow

SIZES = Sizes(fold=108, refit=180, predicted=102)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Address of a scheduler with two workers, in processes of this one."""
    with local_cluster(2, 0) as (address, _):
        yield address


@pytest.fixture
def cluster(scheduler: str) -> Iterator[Cluster]:
    with connected(scheduler) as found:
        until(lambda: found.slots == 2, found)
        yield found


_ELSEWHERE = """
import sys, time
from tools.cluster import local_cluster
if __name__ == "__main__":
    with local_cluster(int(sys.argv[1]), 0) as (address, _):
        print(address, flush=True)
        time.sleep(3600)
"""


@contextmanager
def elsewhere(folder: Path, workers: int) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A scheduler and workers that are not this process's children, and the process of the scheduler."""
    script = folder / "cluster.py"
    script.write_text(_ELSEWHERE)
    command = [sys.executable, str(script), str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=SAME_PATHS, text=True)
    try:
        assert process.stdout
        yield process.stdout.readline().strip(), process
    finally:
        process.terminate()
        process.wait()


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def signs(tmp_path: Path) -> Path:
    folder = tmp_path / "signs"
    folder.mkdir()
    return folder


def test_fits_there_have_the_same_bits_as_here(
    scheduler: str, toy_params: Params, toy_data: Dataset, tmp_path: Path
) -> None:
    mlp = run_spec("small", toy_params.baseline.models["small"].model_dump(mode="json"), "/255", 0, toy_data)
    network = toy_params.train.spec.model_dump(mode="json") | {"threads": 1}
    cnn = run_spec("cnn", network, "/255", 0, toy_data)
    goal, timing = Goal(folds=1, epochs=2, seed=0, refits=0), Timing(1.0, 1e-3, 1e-4)

    def fit(runs: Path, executor: Executor) -> None:
        assert fit_in_parallel(toy_data, runs, [mlp], executor, CONSOLE, "baseline").fits == 3
        made = execute(toy_data, Part("cnn", cnn, goal, timing, 600), SIZES, runs, 600, 700, executor, CONSOLE)
        assert made.fits == 1

    fit(tmp_path / "here", Processes([None, None]))
    with connected(scheduler, networks=True) as cluster:
        fit(tmp_path / "there", cluster)
        copies = cluster.client.run(lambda dask_worker: len([*Path(dask_worker.local_directory).glob("data-*")]))
        left = cluster.client.run(lambda dask_worker: [*Path(dask_worker.local_directory).glob("fit-*")])
    assert set(copies.values()) <= {0, 1}
    assert [*left.values()] == [[], []], "what a fit has left there"
    for spec, folds in ((mlp, [0, 1, 2]), (cnn, [0])):
        here, there = (RunFolder(tmp_path / name, spec) for name in ("here", "there"))
        assert names(here.path) == names(there.path)
        assert [path.name for path in here.units(3).paths] == [path.name for path in there.units(3).paths]
        assert all(intact(path) for path in there.units(3).paths)
        same, found = (folder.units(3).result(toy_data, folds) for folder in (here, there))
        for part in ("oof", "holdout", "test"):
            assert np.array_equal(getattr(same, part), getattr(found, part)), (spec.name, part)
        for path in here.path.glob("*/weights*"):
            assert path.read_bytes() == (there.path / path.relative_to(here.path)).read_bytes()
        starts = (there.path / "log.txt").read_text().count(" starts: ")
        assert starts == (here.path / "log.txt").read_text().count(" starts: ") == len(there.units(3).paths)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_job_hears_replies_and_its_results_come_back(cluster: Cluster, toy_data: Dataset, tmp_path: Path) -> None:
    run_job(cluster, job(adds, [1, 2, 3], toy_data, tmp_path, asks=True), lambda total: 10 * total, never)
    assert (tmp_path / "run" / "sum" / "sum.txt").read_text() == str(10 * (10 * (10 * 1 + 2) + 3))
    assert intact(tmp_path / "run" / "sum")


def test_a_job_finds_its_data_and_what_it_needs(cluster: Cluster, toy_data: Dataset, tmp_path: Path) -> None:
    save_folder(tmp_path / "start", lambda folder: write(folder / "file", "weights"))
    told: list[Any] = []
    here = Place(toy_data.folder, tmp_path, time.monotonic() + 500)
    run_job(cluster, Job(tells_of_its_place, "start", here, needs=("start",)), told.append, never)
    [(found, needed, left)] = told
    assert found == {path.name: path.read_bytes() for path in toy_data.folder.iterdir()}
    assert needed == "weights"
    assert 500 - WAIT < left <= 500
    run_job(cluster, job(tells_of_its_place, None, toy_data, tmp_path), told.append, never)
    assert told[1][2] == inf
    assert {path.name for path in tmp_path.iterdir()} >= {"start"}


@pytest.mark.parametrize(
    ("task", "argument", "more", "kind", "cause"),
    [
        (fails, DivergedError("the loss became nan"), {}, ProcessDiedError, "^the loss became nan$"),
        (fails, ValueError("no such thing"), {}, ProcessDiedError, "^ValueError: no such thing$"),
        (dies, signal.SIGKILL, {}, ProcessDiedError, "was killed, most often because memory ran out"),
        (waits, None, {"timeout": 3.0}, ProcessTimeoutError, "took longer than 3 s"),
        (waits, None, {"first_timeout": 0.01}, ProcessTimeoutError, "took longer than 0 s"),
    ],
)
def test_the_cause_of_a_failure_is_the_same_as_here(
    cluster: Cluster,
    toy_data: Dataset,
    signs: Path,
    task: Any,
    argument: Any,
    more: Any,
    kind: type[Exception],
    cause: str,
) -> None:
    failing = job(task, signs if argument is None else argument, toy_data, signs / "runs", **more)
    for executor in (Processes([None]), cluster):
        with pytest.raises(kind, match=cause):
            run_job(executor, failing, lambda _: None, never)
    assert cluster.slots == 2, "the workers are still there"


def test_what_is_stopped_is_killed_on_the_worker(cluster: Cluster, toy_data: Dataset, signs: Path) -> None:
    with pytest.raises(ProcessStoppedError):
        run_job(cluster, job(waits, signs, toy_data, signs / "runs"), lambda _: None, lambda: bool(begun(signs)))
    [process] = begun(signs)
    until(lambda: not is_running(process))


def test_a_killed_worker_loses_no_fit_and_none_is_made_twice(
    cluster: Cluster, toy_data: Dataset, signs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The nanny starts another worker, which joins."""
    told: list[str] = []
    runs, threads = two_that_wait(cluster, toy_data, signs, told)
    [first, second] = begun(signs)
    before = {member.address for member in cluster.members}
    os.kill(parent(first), signal.SIGKILL)
    until(lambda: len(begun(signs)) == 3)
    assert not is_running(first)
    assert is_running(second)
    until(lambda: cluster.slots == 2 and {member.address for member in cluster.members} != before)
    write(signs / "go", "")
    for thread in threads:
        thread.join(WAIT)
    made = {int((each / "run" / "unit" / "process.txt").read_text()) for each in runs}
    assert made == {*begun(signs)} - {first}
    assert sorted(told) == ["begun", "begun", "waiting", "waiting"], "each message is heard once"
    assert "has gone; its fits are given to other workers" in capsys.readouterr().out
    assert not [*signs.rglob(".*")]


def parent(process: int) -> int:
    """The worker that has started a job."""
    return int(Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[1])


def test_a_killed_client_goes_on(scheduler: str, workspace: Path, tmp_path: Path) -> None:
    """Nothing of its fits runs on, what is finished is kept, and the next command makes the rest."""
    write_toy_files(workspace / "data" / "raw")
    command = digits_command("baseline", "--cluster", scheduler)
    process = subprocess.Popen(command, cwd=workspace, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    runs = workspace / "runs"

    def finished() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in runs.glob("*/fold-*")}

    until(lambda: finished() or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = finished()
    assert 0 < len(kept) < 6
    shown = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert len(finished()) == 6
    assert {path: finished()[path] for path in kept} == kept
    logs = "".join(path.read_text() for path in runs.glob("*/log.txt"))
    assert logs.count(" done: ") == 6
    assert not [*runs.rglob(".*-????????")]


def test_a_fit_of_a_killed_client_is_killed(scheduler: str, toy_data: Dataset, signs: Path) -> None:
    script = signs / "client.py"
    script.write_text(f"""
import sys
from pathlib import Path
from digits.cluster.client import Cluster
from digits.common.console import Console
from digits.common.executors import Job, Place, run_job
from toy_jobs import waits
cluster = Cluster({scheduler!r}, False, Console(plain=True))
job = Job(waits, Path({str(signs)!r}), Place(Path({str(toy_data.folder)!r}), Path({str(signs / "runs")!r})))
run_job(cluster, job, print, lambda: False)
""")
    process = subprocess.Popen([sys.executable, str(script)], env=SAME_PATHS)
    until(lambda: begun(signs) or process.poll() is not None)
    process.kill()
    process.wait()
    [job_process] = begun(signs)
    until(lambda: not is_running(job_process))


def test_a_scheduler_that_goes_is_said_and_its_fits_end(tmp_path: Path, toy_data: Dataset, signs: Path) -> None:
    with elsewhere(tmp_path, 1) as (address, process), connected(address) as cluster:
        caught: list[BaseException] = []

        def run() -> None:
            try:
                run_job(cluster, job(waits, signs, toy_data, signs / "runs"), lambda _: None, never)
            except BaseException as error:
                caught.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        until(lambda: begun(signs))
        process.kill()
        thread.join(WAIT)
        assert [str(error) for error in caught] == [
            f"{address}: the scheduler has gone; what is finished is kept, and the same command goes on once it is "
            "there again"
        ]
        [job_process] = begun(signs)
        until(lambda: not is_running(job_process))


@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ("tcp://127.0.0.1:1", "CLUSTER=tcp://127.0.0.1:1: no scheduler answers: .*; correct the address, or type make"),
        ("nonsense", "CLUSTER=nonsense: no address like tcp://HOST:8786, and no file by dask scheduler"),
        ("nothing://here", "CLUSTER=nothing://here: no scheduler answers: .*; correct the address"),
    ],
)
def test_a_cluster_that_is_not_there_is_refused_in_a_line(
    address: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT", 0.5)
    with pytest.raises(UserError, match=cause) as caught:
        Cluster(address, False, CONSOLE)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n"])
def test_another_program_is_no_scheduler(greeting: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing, too."""
    monkeypatch.setattr(connection, "CONNECT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].sendall(greeting), daemon=True).start()
        with pytest.raises(
            UserError, match="no scheduler answers: what listens there is no scheduler of Dask; correct"
        ):
            Cluster(f"tcp://127.0.0.1:{server.getsockname()[1]}", False, CONSOLE)


def test_a_worker_is_no_scheduler(cluster: Cluster) -> None:
    with pytest.raises(UserError, match=r"no scheduler answers: .*; correct the address") as caught:
        Cluster(cluster.members[0].address, False, CONSOLE)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_of_a_scheduler_is_an_address(scheduler: str, tmp_path: Path) -> None:
    (tmp_path / "scheduler.json").write_text(f'{{"address": "{scheduler}"}}')
    with connected(str(tmp_path / "scheduler.json")) as cluster:
        assert cluster.address == scheduler


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"numpy": "1.0"}, f"it has numpy {library_version('numpy')}, and this machine 1.0; install the same there"),
        ({"Python": "3.10"}, "it has Python 3.1., and this machine 3.10"),
        ({"digits": ["another"]}, "it has another version of digits than this machine"),
    ],
)
def test_workers_with_other_versions_are_refused_in_a_line(
    scheduler: str, changed: dict[str, Any], cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers have what this machine has, so it is taken for another one."""
    compare = refusal

    def fault(expected: dict[str, Any], found: Any) -> str:
        return compare(expected | (changed if "keras" in expected else {}), found)  # the scheduler is as it should be

    monkeypatch.setattr(client_module, "refusal", fault)
    with pytest.raises(UserError, match=cause) as caught:
        Cluster(scheduler, True, CONSOLE)
    assert len(str(caught.value).splitlines()) == 2, "a line for each worker"


def test_workers_that_may_not_start_processes_are_refused_in_a_line() -> None:
    """As dask worker starts them if it is not told otherwise."""
    with (
        dask.config.set({"distributed.worker.daemon": True}),
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as made,
        pytest.raises(UserError, match="its nanny forbids it to start processes; start it by dask worker --no-nanny"),
    ):
        Cluster(made.scheduler_address, False, CONSOLE)


def test_without_workers_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_WITHOUT_WORKERS", 0.5)
    with (
        LocalCluster(n_workers=0, dashboard_address=None) as made,
        pytest.raises(UserError, match="it has no workers; start some: dask worker tcp://"),
    ):
        Cluster(made.scheduler_address, False, CONSOLE)


def test_the_network_that_a_cluster_trains_is_timed_there_once(
    scheduler: str, toy_params: Params, toy_data: Dataset, probed: Path, tmp_path: Path
) -> None:
    """The probe of this machine is known already, so that its workers are not probed."""
    with connected(scheduler, networks=True) as cluster, suppress(FileNotFoundError):
        until(lambda: cluster.slots == 2)
        device = cluster_device(cluster, probed, CONSOLE)
        assert (device.parallel_fits, device.threads, device.workers) == (2, 1, [None, None])
        assert device.resolve(toy_params.train.spec, 1) == device.resolve(toy_params.train.spec)
        run = run_spec("cnn", device.resolve(toy_params.train.spec).model_dump(mode="json"), "/255", 0, toy_data)
        first = cluster_timing(cluster, toy_data, run, device, probed, CONSOLE)
        assert first.per_image > 0
        assert cluster_timing(cluster, toy_data, run, device, probed, CONSOLE) == first
        assert [*cluster.slower.values()] == [pytest.approx(1.0)]


def test_make_cluster_says_where_it_is_and_leaves_nothing() -> None:
    command = [sys.executable, str(ROOT / "tools" / "cluster.py"), "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    line = process.stdout.readline()
    if not line:  # another one runs on this computer
        assert "error: no cluster could be started" in process.communicate()[1]
        return
    assert line.startswith("tcp://127.0.0.1:")
    with connected(line.split()[0]) as cluster:
        workers = [*cluster.client.run(os.getpid).values()]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=WAIT)
    assert (process.returncode, errors) == (0, "")
    assert not any(is_running(worker) for worker in workers)
