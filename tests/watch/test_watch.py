"""make watch in a real browser, beside real fits: what it shows, whom it answers, and that it changes nothing."""

import http.client
import logging
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from browsing import is_accessible, served, serving
from digits.common.files import in_use
from digits.common.sealed import write_json
from digits.config import Params, Paths, load_params
from digits.data.dataset import Dataset
from digits.report.gather import gather
from digits.training.candidates import baseline_runs
from digits.training.fitting import _logged, fit_fold_unit, log_epochs
from digits.training.runs import RunFolder, RunSpec, run_spec
from digits.tuning.confirmation import confirm, open_confirmation
from digits.tuning.storage import open_storage
from digits.watch import report
from digits.watch.fits import Logs
from digits.watch.page import Watched, answers
from toy_search import Evaluation, plan, result, run_search
from toys import ROOT, TOY, digits_command, prepare_toy, tree

pytestmark = pytest.mark.slow

PLANTED = "<img src=x onerror=alert(1)>"


@contextmanager
def watching(paths: Paths) -> Iterator[str]:
    """A server in this process; yields its address."""
    with serving(answers(Watched(paths, PLANTED, lambda: name_of), lambda: "<p>the report</p>")) as address:
        yield address


def name_of(run: RunSpec) -> str:
    return f"{PLANTED} of {run.name}"


@pytest.fixture
def logging_fits() -> Iterator[None]:
    """As commands do: what fits tell is logged."""
    logger = logging.getLogger("digits")
    level = logger.level
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(level)


@pytest.mark.usefixtures("logging_fits")
def test_the_curve_grows_while_a_fit_runs(
    browser: Browser, tmp_path: Path, toy_params: Params, toy_data: Dataset
) -> None:
    paths = Paths(tmp_path / "project")
    spec = run_spec("cnn", toy_params.train.spec.model_dump(mode="json"), "/255", 0, toy_data)
    with watching(paths) as address, served(browser, address) as page:
        expect(page.locator("#now")).to_contain_text("make submit in another terminal")
        card, shown = page.locator("article"), list[int]()

        def after_epoch(epoch: int, epochs: int, figure: str) -> None:
            expect(card).to_contain_text(f"epoch {epoch} of {epochs}")
            expect(page.locator("#now")).to_have_text("1 fit running.")
            shown.append(len(re.findall("[ML]", card.locator("path.training").get_attribute("d") or "")))
            expect(card.locator("h3")).to_have_text(f"{name} · fold 1")
            assert figure.rsplit(maxsplit=1)[-1] in (card.locator("svg").get_attribute("aria-label") or "")

        name = name_of(spec)
        write_json(RunFolder(paths.runs, spec).path / "run.json", asdict(spec))
        with _logged(RunFolder(paths.runs, spec), "fold-0"):
            on_epoch = log_epochs(after_epoch)
            on_epoch(1, 2, {"accuracy": 0.5, "loss": 1.5})
            on_epoch(2, 2, {"accuracy": 0.875, "loss": 0.5, "valid_accuracy": 0.9375})
        assert shown == [1, 2]
        assert card.locator("circle").count() == 1
    with suppress(OSError):
        http.client.HTTPConnection(urlsplit(address).netloc).request("GET", "/")
        pytest.fail("the server has not ended")


def test_a_page_whose_server_has_ended_says_so(browser: Browser, tmp_path: Path) -> None:
    with watching(Paths(tmp_path)) as address:
        page = browser.new_page()
        page.goto(address)
        expect(page.locator("#now")).to_contain_text("make submit in another terminal")
    expect(page.locator("#now")).to_contain_text("make watch has ended; this is how things stood at")
    page.close()


FINALIST = f"{PLANTED}, fold 1, seed 1"


def confirm_toy(file: Path) -> None:
    """Fits of the default and a finalist, which is no better, on the search fold."""
    study = open_confirmation(open_storage(f"sqlite:///{file}"), f"{file.parent.name}-confirmed")
    candidates: dict[str, dict[str, Any]] = {"default": {}, PLANTED: {}}
    fits = result(0.7, 0)
    confirm(study, candidates, (1, 2), (0, 1), lambda *_: fits, lambda: 1e6, 1, lambda *_: None, 1.0)


def test_the_page_is_for_everyone_and_names_are_no_markup(browser: Browser, tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    log = "2026-01-01 10:00:00,123 INFO 1 "
    epochs = [f"{log}epoch {n} of 3: {{'accuracy': {1 - 3**-n}, 'valid_accuracy': {n // 3}}}\n" for n in (1, 2, 3)]
    for run in (f"cnn-{PLANTED}", "x" * 200):
        (paths.runs / run).mkdir(parents=True)
        (paths.runs / run / "log.txt").write_text("".join([f"{log}fold-0 starts: \n", *epochs]))
    (paths.studies / "test").mkdir(parents=True)  # the name of the toy search
    run_search(paths.studies / "test", Evaluation(), plan(n_trials=3))
    confirm_toy(paths.studies / "test" / "study.db")
    study = (paths.studies / "test" / "study.db").read_bytes()
    with watching(paths) as address, served(browser, address) as page:
        expect(page.locator("h1")).to_have_text(PLANTED)
        assert page.locator("article").count() == 2
        assert PLANTED in page.locator("#fits-rows").inner_text()
        assert page.locator("img").count() == 0
        assert page.locator("#trials-rows tr td:last-child").all_inner_texts()[-2:] == ["wide", "default"]
        assert page.locator("#trials-rows td:nth-child(5)").last.inner_text() == "0.8030"
        confirming = page.locator("#trials-rows tr").filter(has_text="confirming")
        assert confirming.first.locator("td").all_inner_texts()[1:] == ["ended", "1", "1.0", "0.7000", "", FINALIST]
        is_accessible(page)
    assert (paths.studies / "test" / "study.db").read_bytes() == study


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory, logging_fits: None) -> Path:
    """With a baseline that is fitted on one fold of data without files, and no metrics of its run yet."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "params.yaml", folder)
    params = load_params(ROOT / "params.yaml", TOY)
    data = prepare_toy(folder / "arrays")
    fit_fold_unit(data, folder / "runs", spec := baseline_runs(params, data)[1], 0)
    assert not (RunFolder(folder / "runs", spec).path / "metrics.json").exists()
    [fit] = Logs(folder / "runs").fits(9)
    assert (fit.run, fit.unit, fit.state) == (spec.folder_name, "fold 1", "done")
    assert fit.result is not None
    return folder


@contextmanager
def command(folder: Path) -> Iterator[str]:
    """make watch in a process of its own; yields its address, ends it by Ctrl-C, and checks what it leaves."""
    before = tree(folder), {*folder.rglob("*")}
    process = subprocess.Popen(digits_command("watch"), cwd=folder, stdout=subprocess.PIPE, stderr=-1, text=True)
    assert process.stdout
    try:
        yield process.stdout.readline().split()[0]
    finally:
        process.send_signal(signal.SIGINT)
        shown, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (0, "")
    assert shown.split() == ["ended;", "it", "has", "changed", "nothing"]
    assert (tree(folder), {*folder.rglob("*")}) == before


def asked(address: str, path: str, host: str | None = None, method: str = "GET") -> http.client.HTTPResponse:
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    connection.request(method, path, headers={} if host is None else {"Host": host})
    return connection.getresponse()


def test_it_answers_this_computer_alone_and_serves_no_file(project: Path) -> None:
    with command(project) as address:
        for host in (
            "evil.example",
            "localhost.evil.example",
            f"evil.example:{urlsplit(address).port}",
            "",
            "[",
            "10.0.0.1",
        ):
            refused = asked(address, "/state.json", host)
            assert (refused.status, b"fits" in refused.read()) == (403, False), host
        for known in (None, "localhost:8000", "127.0.0.1"):  # another port: of a tunnel
            assert asked(address, "/state.json", known).status == 200
        for path in ("/params.yaml", "/../params.yaml", "/runs/", "//etc/passwd", "/report/x"):
            assert asked(address, path).status == 404, path
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert asked(address, "/", method=method).status == 501
        head = asked(address, "/", method="HEAD")
        assert (head.status, head.read()) == (200, b"")
        assert "default-src 'none'" in head.headers["Content-Security-Policy"]
        with in_use(project / "runs", alone=True):
            pass  # it holds nothing that clean-runs waits for
        (project / "runs" / ".lock").unlink()


def test_the_report_is_made_anew_where_something_has_changed_and_nothing_is_written(
    project: Path, tmp_path: Path, toy_params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a run alone would write its metrics into its folder, and set a damaged fit aside."""
    monkeypatch.setattr(report, "_PAUSE", 0.0)
    runs, data = project / "runs", prepare_toy(tmp_path / "arrays")
    made: list[str] = []

    def make(mirrored: Paths) -> str:
        made.append(str([run.metrics["folds"] for run in gather(toy_params, data, mirrored).runs]))
        return made[-1]

    fresh, before = report.FreshReport(Paths(project), make), tree(project)
    assert (fresh.html(), fresh.html(), len(made)) == ("[1]", "[1]", 1)
    assert tree(project) == before
    spec = baseline_runs(toy_params, data)[1]
    fit_fold_unit(data, runs, spec, 1)
    (RunFolder(runs, spec).fold(0) / "probabilities.npz").write_bytes(b"damaged")
    before = tree(project)
    assert (fresh.html(), len(made)) == ("[1]", 2)
    fit_fold_unit(data, runs, spec, 2)
    before = tree(project)
    assert (fresh.html(), tree(project)) == ("[2]", before)


def test_it_shows_an_empty_folder(browser: Browser, tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    with command(tmp_path) as address:
        with served(browser, address) as page:
            expect(page.locator("#now")).to_contain_text("make submit in another terminal")
            is_accessible(page)
        with served(browser, f"{address}report") as page:
            assert "type make" in page.locator("#runs").inner_text()
