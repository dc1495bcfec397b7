"""Toy competitions that take milliseconds, and folders to run the real commands in."""

import gc
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import pytest
from filelock import FileLock
from hypothesis import settings
from threadpoolctl import threadpool_limits

from digits.cli.main import main
from digits.common.console import Console
from digits.config import Params, load_params
from digits.data.dataset import Dataset
from digits.kaggle.api import CompetitionApi
from digits.models import FAMILIES
from digits.training.crossval import preload
from digits.training.device import Device, measured_device
from digits.training.runs import run_spec
from digits.training.timing import measured_timing
from kaggle_server import KaggleServer, key_in, running
from toys import QUICK, ROOT, TOY, Digits, Shown, digits_arguments, prepare_toy, write_toy_files

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from browsing import OpenPage

# All fits of the tests are forked from one server that has loaded all libraries, whichever test is the first to need
# one, and whatever that one preloads. Otherwise each fit would load some, which takes seconds.
TASKS = [
    f"digits.{name}"
    for name in (
        "demo.build",
        "export.writing",
        "replication.fits",
        "training.applying",
        "training.executor",
        "training.parallel",
        "training.probing",
        "training.timing",
        "tuning.trial",
    )
]
forkserver = multiprocessing.get_context("forkserver")
forkserver.set_forkserver_preload([*preload(*FAMILIES), *TASKS])
forkserver.set_forkserver_preload = lambda module_names: None  # type: ignore[method-assign]
# jobs in the background and those of nohup ignore interruptions, and so would all commands that tests interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
settings.register_profile("fuzz", max_examples=20_000)
# the same examples in every run: what fails is what was broken, and new examples are for `fuzz` to look for
settings.register_profile("same", derandomize=True)
settings.load_profile("same")


def pytest_collection_finish() -> None:
    """What all tests load stays: every fit ends in a collection, which need not go through it."""
    gc.freeze()


@pytest.fixture
def params() -> Params:
    """params.yaml as it is."""
    return load_params(ROOT / "params.yaml")


@pytest.fixture
def toy_params() -> Params:
    """params.yaml, cut down to the toy competition."""
    return load_params(ROOT / "params.yaml", TOY)


@pytest.fixture
def one_blas_thread() -> Iterator[None]:
    """For fits of milliseconds, whose threads would wait for each other for seconds on a busy machine."""
    with threadpool_limits(1, "blas"):
        yield


@pytest.fixture
def toy_spec(toy_params: Params) -> dict[str, Any]:
    """Parameters of the toy network."""
    return toy_params.train.spec.model_dump(mode="json")


@pytest.fixture
def toy_files(tmp_path: Path) -> Path:
    """A folder with the toy competition's CSVs."""
    folder = tmp_path / "toy-files"
    write_toy_files(folder)
    return folder


@pytest.fixture
def toy_data(tmp_path: Path) -> Dataset:
    """Dataset toy arrays: 180 labelled images in 3 folds and a holdout of 18, 30 test images."""
    return prepare_toy(tmp_path / "prepared")


@pytest.fixture
def coloured_data(tmp_path: Path) -> Dataset:
    """As toy_data, with images of three channels."""
    return prepare_toy(tmp_path / "coloured", coloured=True)


@pytest.fixture(scope="session")
def probed(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with a device and the timing of the toy network on it, one for all processes of the tests.

    The device is given: the toy network says its precision, batch size and threads itself. The
    timing is measured by whichever process needs it first.
    """
    given = Device("CPU", 0, "float32", 128, 1, 1.0, min(2, joblib.cpu_count()))
    own = tmp_path_factory.getbasetemp()
    folder, console = (own if worker_id == "master" else own.parent) / "machines", Console(plain=True)
    data = prepare_toy(tmp_path_factory.mktemp("toy") / "prepared")
    model = load_params(ROOT / "params.yaml", TOY).train.spec.model_dump(mode="json")
    with FileLock(folder.with_suffix(".lock")), pytest.MonkeyPatch.context() as patch:
        patch.setattr("digits.training.device.probe", lambda *_: vars(given))
        device = measured_device(folder, console)
        measured_timing(data, run_spec("cnn", model, "/255", 0, data), device, folder, console)
    return folder


@pytest.fixture
def workspace(tmp_path: Path, probed: Path) -> Path:
    """An empty project: a folder with params.yaml, and what the probe of this machine found."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(probed, folder / "runs" / "machines")
    return folder


@pytest.fixture
def digits(workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Digits:
    """Run the command in the workspace. TensorFlow stays loaded, which saves seconds each time."""
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("HOME", str(workspace))
    for name in [name for name in os.environ if name.startswith(("KAGGLE_", "XDG_"))]:
        monkeypatch.delenv(name)

    def run(*arguments: str, toy: bool = True, also: tuple[str, ...] = ()) -> Shown:
        capsys.readouterr()
        status = main(digits_arguments(*arguments, toy=toy, also=also))
        shown = capsys.readouterr()
        return Shown(status, shown.out, shown.err)

    return run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no credentials anywhere else."""
    for name in [name for name in os.environ if name.startswith("KAGGLE_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return folder


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KaggleServer]:
    """A running server that Kaggle's client takes for Kaggle, and a key that it knows."""
    key_in(home)
    with running(KaggleServer()) as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def limit(server: KaggleServer) -> float:
    """Seconds: three times what a new client process takes for its first response here and now, at least 3.

    So a test may wait for the end of a limit without depending on how fast or how busy the machine is.
    """

    def first_response() -> float:
        started = time.monotonic()
        CompetitionApi("toy", QUICK, Console(plain=True)).submissions()
        return time.monotonic() - started

    seconds = first_response()
    server.requests.clear()
    return max(3.0, 3 * seconds)


@pytest.fixture(scope="module")  # its event loop is in the way of other tests
def browser() -> "Iterator[Browser]":
    """Chromium."""
    from browsing import running_browser

    with running_browser() as browser:
        yield browser


@pytest.fixture
def opened(browser: "Browser") -> "Iterator[OpenPage]":
    """Opens pages from disk; see `browsing.opening`."""
    from browsing import opening

    with opening(browser) as open_page:
        yield open_page
