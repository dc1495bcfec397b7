"""The commands on toy data, as a user types them: results, kills, second runs, errors."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import yaml

from digits.cli.context import Context
from digits.common.code_version import code_version
from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.sealed import read_json, write_json
from digits.config import Params, Paths, load_params
from digits.data.dataset import Dataset
from digits.kaggle.ledger import Ledger
from digits.training.budget import Part
from digits.training.executor import Executed, execute
from digits.training.runs import RunFolder
from digits.training.schedule import Sizes
from digits.tuning.storage import open_storage
from toy_search import make_older
from toys import (
    MINUTES,
    REAL_DIGITS,
    REAL_FASHION,
    ROOT,
    Digits,
    digits_arguments,
    digits_command,
    report_content,
    tree,
    write_toy_files,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def toy(workspace: Path) -> Path:
    """A workspace with the toy competition's files in data/raw."""
    write_toy_files(workspace / "data" / "raw")
    return workspace


def submission(workspace: Path) -> Path:
    [path] = [path for path in (workspace / "submissions").glob("*.csv") if path.name != "ledger.csv"]
    return path


def test_a_report_needs_no_data_but_what_is_named_must_be_there(digits: Digits, workspace: Path) -> None:
    wrong = digits("report", "--data", "typo.zip", toy=False)
    assert wrong.returncode == 2
    assert "typo.zip" in wrong.stderr
    assert digits("report", toy=False).returncode == 0
    assert "The images are not prepared yet" in (workspace / "reports" / "index.html").read_text()


def test_from_files_to_a_checked_submission_and_then_nothing_to_do(toy: Path, digits: Digits) -> None:
    first = digits("submit")
    assert first.returncode == 0, first.stderr
    frame = pd.read_csv(submission(toy))
    assert frame["ImageId"].tolist() == list(range(1, 31))
    assert frame["Label"].between(0, 2).all()
    [entry] = Ledger(toy / "submissions" / "ledger.csv").lines()
    assert (entry["file"], entry["state"], entry["provenance"]) == (submission(toy).name, "written", "local")
    assert 0 <= float(entry["cv_low"]) <= float(entry["cv_accuracy"]) <= float(entry["cv_high"]) <= 1
    assert "kaggle competitions submit -c toy" in first.stdout
    before = tree(toy)
    second = digits("submit")
    assert "Nothing to do: everything is up to date." in second.stdout
    assert tree(toy) == before


def test_a_command_with_nothing_to_do_waits_for_no_large_library(toy: Path, digits: Digits) -> None:
    assert digits("submit").returncode == 0
    script = "import sys; from digits.cli.main import main; main(sys.argv[1:]); print(*sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", script, *digits_arguments("submit")], cwd=toy, capture_output=True, text=True, check=True
    ).stdout
    assert "Nothing to do" in shown
    assert not {"tensorflow", "keras", "sklearn", "scipy", "optuna"} & set(shown.splitlines()[-1].split())


@pytest.mark.parametrize("command", ["baseline", "train"])
def test_fits_by_other_libraries_are_made_again_and_it_is_said(
    command: str, toy: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "has the same fits by other versions of digits or of its libraries"
    assert said not in digits(command).stdout
    before = set((toy / "runs").glob("*/fold-0"))
    monkeypatch.setattr(
        "digits.common.code_version.version", lambda name: version(name) + ".post1" * (name == "scikit-learn")
    )
    code_version.cache_clear()
    again = digits(command)
    assert again.returncode == 0
    assert said in " ".join(again.stdout.split())
    assert len([*(toy / "runs").glob("*/fold-0")]) == 2 * len(before)
    assert said not in digits(command).stdout
    assert digits("clean-runs", "--force").returncode == 0
    code_version.cache_clear()
    assert not [path for path in before if path.exists()]


def test_interrupted_it_makes_the_best_of_what_is_finished_and_goes_on_later(toy: Path, digits: Digits) -> None:
    also = ("train.epochs=30", "data.folds=2", "train.refits=1", MINUTES)
    command = digits_command("submit", also=also)
    process = subprocess.Popen(
        command, cwd=toy, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list((toy / "runs").glob("cnn-*/fold-0")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does on Ctrl-C: to every process
    shown, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command continues from there" in told
    assert "Traceback" not in told
    assert "predictions" in shown
    assert not list((toy / "runs").glob("cnn-*/refit-*"))
    done = tree(next((toy / "runs").glob("cnn-*/fold-0")))
    assert len(pd.read_csv(submission(toy))) == 30
    again = digits("submit", also=also)
    assert again.returncode == 0, again.stderr
    [run] = (toy / "runs").glob("cnn-*")
    assert len([*run.glob("fold-*")]) == 2
    assert len([*run.glob("refit-*")]) == 1
    assert tree(next((toy / "runs").glob("cnn-*/fold-0"))) == done
    assert "Nothing to do" in digits("submit", also=also).stdout


def test_what_a_spreadsheet_has_saved_stops_no_command(toy: Path, digits: Digits) -> None:
    assert digits("submit").returncode == 0
    ledger = Ledger(toy / "submissions" / "ledger.csv")
    [entry] = ledger.lines()
    for number, cells in enumerate(({"public_score": "0,995"}, {"public_score": "Jan 95"}, {"expected_low": "#"})):
        name = f"other{number}.csv"
        (toy / "submissions" / name).write_text("ImageId;Label\n1;2\n")
        ledger.append(
            entry | {"intent": name, "file": name, "sha256": "", "ref": "7", "public_score": "1", **cells},
            "scored",
            "x",
        )
    saved = ledger.path.read_text().replace(",", ";").replace("0;995", "0,995").replace('"', "")
    ledger.path.write_bytes(b"\xef\xbb\xbf" + saved.replace("\n", "\r\n").encode())
    again = digits("submit")
    assert again.returncode == 0, again.stderr
    listed = digits("submissions")
    assert listed.returncode == 0, listed.stderr
    assert "4 of toy" in listed.stdout
    assert digits("report").returncode == 0
    assert "no Kaggle credentials" in digits("score").stderr, "the score that was lost is asked for again"


def test_more_minutes_go_on_from_what_less_have_left(toy: Path, digits: Digits) -> None:
    # of the toy networks, all alike, any might be taken; of one epoch, so that no fit is too short to go on from
    one = ("train.candidates=[default]", "train.epochs=1")
    assert digits("train", also=one).returncode == 0
    [run] = (toy / "runs").glob("cnn-*")
    before = tree(run)
    assert "Nothing to do" in digits("train", also=(*one, "train.budget=0.0005")).stdout
    more = digits("train", also=(*one, MINUTES, "train.refits=2"))
    assert more.returncode == 0
    assert len([*run.glob("refit-*")]) == 2
    after = tree(run)
    kept = {name for name in before if name.startswith(("fold-", "refit-"))}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_many_minutes_are_shared_by_networks_that_are_blended(toy: Path, digits: Digits) -> None:
    other = "networks={other: {label_smoothing: 0.1, epochs: 3}}"
    also = (other, "train.candidates=[default]", "train.extra=[other]", MINUTES)
    found = digits("submit", also=also)
    assert found.returncode == 0, found.stderr
    planned = [line for line in found.stdout.splitlines() if "3 folds of " in line]
    assert [line.split(":")[0].strip() for line in planned] == ["default", "other"]
    assert re.search(r"^plan: .*; accuracy not known yet$", found.stdout, re.MULTILINE)
    runs = sorted((toy / "runs").glob("cnn-*"))
    assert [len([*run.glob("fold-*")]) for run in runs] == [3, 3]
    assert [len([*run.glob("refit-*")]) for run in runs] == [1, 1]
    report = (toy / "reports" / "ensemble.md").read_text()
    assert all(run.name in report for run in runs)
    assert "Nothing to do" in digits("submit", also=also).stdout


def test_more_images_than_have_time_are_sampled(
    workspace: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And blended with baselines that have learned from all; with more minutes all are learned from."""
    monkeypatch.setattr("digits.training.allocation._FEWEST", 100)
    write_toy_files(workspace / "data" / "raw", train_rows=1440)
    also = ("competition.train_rows=1440", "train.refits=0")
    assert digits("baseline", also=also).returncode == 0
    first = digits("submit", also=also)
    assert first.returncode == 0, first.stderr
    assert "each fit learns from 180 of the 1,440 labelled images" in first.stdout
    assert re.search(r"interval of the score is \d\.\d times as wide .* from about BUDGET=1 on", first.stdout)
    [run] = (workspace / "runs").glob("cnn-*")
    [blend] = (workspace / "runs").glob("blend-*")
    sample, judged = (np.load(path / "probabilities.npz") for path in (run / "fold-0", blend))
    assert len(sample["test"]) == 30
    assert len(sample["valid"]) == len(judged["rows"]) < 100
    assert len(sample["holdout"]) == len(judged["holdout"]) < 40
    assert len((read_json(blend / "blend.json") or {})["contributions"]) == 3
    assert "Nothing to do" in digits("submit", also=also).stdout
    assert {each.spec.name for each in report_content(workspace, also=also).runs} == {"cnn", "small", "nearest"}
    assert "nothing" not in digits("runs", also=also).stdout
    more = digits("submit", also=(*also, MINUTES))
    assert more.returncode == 0, more.stderr
    assert "each fit learns" not in more.stdout
    blends = [(read_json(path) or {})["units"] for path in (workspace / "runs").glob("blend-*/blend.json")]
    assert sorted(run.name in units for units in blends) == [False, True]


def test_other_params_make_other_runs_and_leave_the_old(toy: Path, digits: Digits) -> None:
    assert digits("train").returncode == 0
    before = tree(toy / "runs")
    assert digits("train", "--set", "competition.slug=toy", toy=False).returncode == 2
    changed = digits("train", also=("train.seed=7",))
    assert changed.returncode == 0, changed.stderr
    after = tree(toy / "runs")
    assert before.items() <= after.items()
    assert len(list((toy / "runs").glob("cnn-*"))) == 2


def test_baselines_never_import_tensorflow_and_are_blended_in(toy: Path, digits: Digits) -> None:
    blocked = toy / "blocked"
    blocked.mkdir()
    for name in ("tensorflow", "keras"):
        (blocked / f"{name}.py").write_text("raise ImportError('this command must do without')\n")
    command = digits_command("baseline")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(blocked), os.environ.get("PYTHONPATH", "")])}
    light = subprocess.run(command, cwd=toy, env=environment, capture_output=True, text=True, check=False)
    assert light.returncode == 0, light.stderr
    heavy = subprocess.run(
        digits_command("train"), cwd=toy, env=environment, capture_output=True, text=True, check=False
    )
    assert "must do without" in heavy.stderr
    board = pd.read_csv(toy / "reports" / "baseline.csv")
    columns = (
        "name folds cv_accuracy cv_low cv_high cv_sd log_loss holdout_accuracy fit_seconds predict_seconds size_mb"
    )
    assert list(board.columns) == [*columns.split(), "near_best"]
    assert board["cv_accuracy"].is_monotonic_decreasing
    assert set(board["name"]) == {"small", "nearest"}
    blended = digits("submit")
    assert blended.returncode == 0
    assert "make baseline" not in blended.stdout
    [entry] = Ledger(toy / "submissions" / "ledger.csv").lines()
    assert len(entry["members"].split()) == 3
    page = report_content(toy)
    assert {run.spec.name for run in page.runs} == {"cnn", "small", "nearest"}
    assert page.predictions is not None
    assert [line["file"] for line in page.submissions] == [entry["file"]]


def test_only_chosen_baselines_are_fitted_and_all_finished_ones_ranked(toy: Path, digits: Digits) -> None:
    assert digits("baseline", "--only", "near*").returncode == 0
    assert list(pd.read_csv(toy / "reports" / "baseline.csv")["name"]) == ["nearest"]
    unknown = digits("baseline", "--only", "smal")
    assert unknown.returncode == 2
    assert unknown.stderr == "error: ONLY: there is no baseline 'smal'; did you mean small?\n"
    assert {path.name[:7] for path in (toy / "runs").glob("[!.]*")} == {"nearest", "machine"}
    assert digits("baseline", "--only", "small").returncode == 0
    assert set(pd.read_csv(toy / "reports" / "baseline.csv")["name"]) == {"small", "nearest"}
    assert "| nearest" in (toy / "reports" / "baseline.md").read_text()
    assert "Nothing to do" in digits("baseline").stdout


def test_a_fit_that_fails_is_named_and_the_others_go_on(toy: Path, digits: Digits) -> None:
    """Four folds of 162 images leave 121 or 122 to learn from: 122 neighbours are too many for half of them."""
    settings = ("data.folds=4", "baseline.models.nearest.n_neighbors=122")
    failing = digits("baseline", also=settings)
    assert failing.returncode == 2
    named = [line for line in failing.stdout.splitlines() if " failed: " in line]
    assert 1 <= len(named) < 4
    for line in named:
        assert re.match(r"nearest, fold [1-4] failed: ValueError: Expected n_neighbors <= n_samples_fit", line)
    assert f"error: {len(named)} of 8 fits failed; the others are kept" in failing.stderr
    assert list(pd.read_csv(toy / "reports" / "baseline.csv")["name"]) == ["small"]
    [log_file] = (toy / "runs").glob("nearest-*/log.txt")
    assert "Traceback" in log_file.read_text()
    again = digits("baseline", also=settings)
    assert again.returncode == 2
    assert f"error: {len(named)} of {len(named)} fits failed" in again.stderr
    assert digits("baseline", also=("data.folds=4",)).returncode == 0


def test_a_fit_whose_process_is_killed_is_explained(toy: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system does for want of memory."""
    assert digits("data").returncode == 0
    monkeypatch.setattr("digits.training.parallel.fit_alone", killed)
    died = digits("baseline", also=("baseline.workers=2",))
    assert died.returncode == 2
    assert "most often because memory ran out" in died.stderr
    assert len(died.stderr.strip().splitlines()) == 1


def killed(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_tune_finds_train_takes(toy: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default learns nothing, and so gives way to any other network."""
    monkeypatch.setattr("digits.tuning.origin._OVERHEAD", 1.5)  # shorter fits
    also = ("train.learning_rate=1e-7", "tune.budget=10", "tune.enqueue={flat: {layers: 16 8, learning_rate: 0.02}}")
    tuned = digits("tune", also=also)
    assert tuned.returncode == 0, tuned.stderr
    [best] = (toy / "runs" / "tune").glob("*/best.yaml")
    rows = [line.split() for line in tuned.stdout.splitlines() if re.match(r" +\d+  ", line)]
    assert {row[0]: row[-1] for row in rows}.items() >= {"0": "default", "1": "flat"}.items()
    assert sorted({row[0] for row in rows}) == ["0", "1", "2", "3"]
    assert re.search(r"fewer errors than default in the same time: .* It is taken\.", tuned.stdout)
    assert re.search(r"fold 0, seed \d+, \(.*\) s, \{", (best.parent / "log.txt").read_text())
    report = (toy / "reports" / "tune" / "report.md").read_text()
    assert "history.png" in report
    assert (toy / "reports" / "tune" / "history.png").read_bytes()[:4] == b"\x89PNG"
    assert len((toy / "reports" / "tune" / "trials.csv").read_text().splitlines()) == 5
    search = report_content(toy, also=also).search
    assert search is not None
    assert "history" in search.pictures
    before = tree(toy / "runs")
    assert "Nothing to do" in digits("tune", also=also).stdout
    assert tree(toy / "runs") == before
    found = yaml.safe_load(best.read_text())
    assert found["train"]["candidates"] == ["default", "tuned"]
    measured = found["train"]["measured_accuracy"]["toy"]
    assert max(measured["tuned"].values()) > max(measured["default"].values())
    assert re.search(r"plan: .*; expected score about .*\n  tuned: ", digits("train", also=(*also, MINUTES)).stdout)
    kept = best.with_name("found.json").read_bytes()
    best.with_name("found.json").write_bytes(kept[:-20])
    refused = digits("train", also=(*also, MINUTES))
    assert refused.returncode == 2
    assert "found.json is lost; type make tune, which writes it again" in refused.stderr
    assert digits("tune", also=also).returncode == 0
    assert digits("train", also=(*also, MINUTES)).returncode == 0


def test_a_verdict_for_want_of_time_is_not_final(toy: Path, digits: Digits) -> None:
    """Time that a killed command seems to spend is time to go on with."""
    also = ("tune.model=small", "tune.workers=1", "tune.space={}")
    digits("data")
    brief = digits("tune", also=(*also, "tune.budget=1e-6"))
    assert "make tune BUDGET=2e-06 continues from here" in brief.stdout
    [database] = (toy / "runs" / "tune").glob("small-*/study.db")
    again = digits("tune", also=(*also, "tune.budget=1e-6"))
    assert "Nothing to do" not in again.stdout
    with pytest.warns(UserWarning, match="Heartbeat"):  # claimed by a command that is killed before it begins
        optuna.load_study(study_name=database.parent.name, storage=open_storage(f"sqlite:///{database}")).ask()
    make_older(f"sqlite:///{database}", "trials.datetime_start", 8)
    enough = digits("tune", also=(*also, "tune.budget=10"))
    assert "4 trials; " in enough.stdout, enough.stdout
    assert "not final" not in enough.stdout
    assert "Nothing to do" in digits("tune", also=(*also, "tune.budget=10")).stdout


def test_the_dashboard_is_opened_on_the_study_of_these_params(
    toy: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits("data")
    assert digits("tune-dashboard").stderr.strip().endswith("with these params and data yet; type: make tune")
    elsewhere = ("tune.storage=sqlite:///elsewhere.db",)
    with monkeypatch.context() as without:
        without.setattr("digits.cli.commands.dashboard.find_spec", lambda _: None)
        assert "is not installed; type: " in digits("tune-dashboard", also=elsewhere).stderr
    asked = toy / "asked"
    (toy / "optuna_dashboard.py").write_text(
        "import sys\nfrom pathlib import Path\n"
        f"def run_server(url): Path({str(asked)!r}).write_text(url + ' ' + ' '.join(sys.orig_argv))\n"
    )
    monkeypatch.syspath_prepend(str(toy))
    assert digits("tune-dashboard", also=elsewhere).returncode == 0
    url, *command = asked.read_text().split(" ", 1)
    assert url == "sqlite:///elsewhere.db"
    assert url not in command[0]


def test_a_database_that_is_none_is_refused_in_one_line(toy: Path, digits: Digits) -> None:
    digits("data")
    for storage, message in (
        ("nonsense", "STORAGE: not a database address"),
        ("nosuch://host/name", "use a postgresql:// address"),
        ("postgresql://digits@127.0.0.1:9/none", "STORAGE: the database does not answer"),
    ):
        refused = digits("tune", also=(f"tune.storage={storage}",))
        assert refused.returncode == 2
        assert message in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1


def test_harmless_variants_of_a_file_give_the_same_hash(toy: Path, digits: Digits) -> None:
    assert digits("data").returncode == 0
    train = toy / "data" / "raw" / "train.csv"
    train.write_bytes(b"\xef\xbb\xbf" + train.read_bytes().replace(b"\n", b"\r\n").replace(b"label", b'"label"'))
    assert digits("data").returncode == 0
    made = [*(toy / "data" / "processed").glob("*/about.json")]
    assert len(made) == 2, "files with other bytes"
    assert len({json.loads(path.read_text())["hash"] for path in made}) == 1


def test_a_refused_file_leaves_everything_as_it_was(toy: Path, digits: Digits) -> None:
    assert digits("data").returncode == 0
    before = tree(toy / "data" / "processed")
    train = toy / "data" / "raw" / "train.csv"
    train.write_text(train.read_text().replace("\n0,", "\n7,", 1))
    refused = digits("data")
    assert refused.returncode == 2
    assert "error: train.csv: there are 4 different labels (the rarest: 7 in 1 rows, first in 2)" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert tree(toy / "data" / "processed") == before


def test_the_data_of_recipes_follow_from_the_params(workspace: Path, digits: Digits) -> None:
    """Not from what was prepared last: here the same files in other folds."""
    write_toy_files(workspace / "data" / "raw" / "clothes")
    (workspace / "params.fashion-mnist.yaml").write_text(
        "extends: params.yaml\n"
        "competition: {slug: clothes, image_shape: [12, 12], classes: 3, train_rows: 180, test_rows: 30}\n"
    )

    def found() -> dict[str, Dataset]:
        params = load_params(workspace / "params.yaml", ["competition.slug=toy"])
        return Context(params, Paths(workspace), Console(plain=True)).recipe_data

    named = ("data", "--params", "params.fashion-mnist.yaml")
    assert found() == {}
    assert digits(*named, toy=False).returncode == 0
    prepared = found()["fashion"]
    assert digits(*named, toy=False, also=("data.folds=3",)).returncode == 0
    assert found()["fashion"].hash == prepared.hash
    assert prepared.fold_count == 5


@pytest.mark.parametrize("stage", ["train", "ensemble", "submit", "baseline", "tune"])
def test_stages_out_of_order_say_what_to_type(workspace: Path, stage: str, params: Params) -> None:
    module = import_module(f"digits.cli.commands.{stage}")
    with pytest.raises(UserError, match=r"type: make data$"):
        module.run(Context(params, Paths(workspace), Console(plain=True)))


def test_our_own_faults_are_one_line_unless_debugged(toy: Path, digits: Digits) -> None:
    (toy / "data" / "processed").write_text("a file where a folder should be")
    plain, debugged = digits("data"), digits("data", "--debug")
    assert plain.returncode == debugged.returncode == 1
    assert len(plain.stderr.strip().splitlines()) == 1
    assert "DEBUG=1" in plain.stderr
    assert "Traceback" in debugged.stderr


def test_another_competition_is_a_change_of_params_alone(workspace: Path, digits: Digits) -> None:
    """20x20 images of 4 named classes, other column names, ids from 0 in the test file, no sample submission."""
    generator = np.random.default_rng(5)
    labels = np.arange(120) % 4
    images = generator.integers(0, 99, (150, 400))
    for row, label in enumerate([*labels, *generator.integers(0, 4, 30)]):
        images[row, 100 * label : 100 * label + 60] += 150
    columns = [f"px{number}" for number in range(1, 401)]
    files = workspace / "files"
    files.mkdir()
    train = pd.DataFrame(images[:120], columns=columns).assign(kind=labels)
    train.to_csv(files / "train.csv", index=False)
    test = pd.DataFrame(images[120:], columns=columns)
    test.insert(0, "key", np.arange(30))
    test.to_csv(files / "test.csv", index=False)
    (workspace / "params.shapes.yaml").write_text(
        "extends: params.yaml\ncompetition: {slug: shapes, image_shape: [20, 20], classes: 4, label_column: kind,"
        " class_names: [north, east, south, west], test_id_column: key, pixel_prefix: px, first_pixel: 1,"
        " submission_id: key, submission_label: kind, first_id: 0, train_rows: null, test_rows: 30}\n"
        "data: {folds: 2}\ntrain: {candidates: [default], extra: [], refits: 1, layers: MP2 4C3 MP2 16, epochs: 30,"
        " min_steps: 0, learning_rate: 0.02, batch_size: 16, augment: {rotation: 0.0, shift: 0.0, zoom: 0.0}}\n"
    )
    made = digits("submit", "--params", "params.shapes.yaml", "--data", "files", toy=False)
    assert made.returncode == 0, made.stderr
    assert "north: 30" in made.stdout
    assert "sample_submission.csv is missing" in made.stdout
    frame = pd.read_csv(submission(workspace))
    assert frame["key"].tolist() == list(range(30))
    assert list(frame.columns) == ["key", "kind"]
    assert submission(workspace).name.startswith("shapes-")
    [entry] = Ledger(workspace / "submissions" / "ledger.csv").lines()
    assert float(entry["cv_accuracy"]) > 0.8


def test_probabilities_are_submitted_where_the_competition_counts_them(toy: Path, digits: Digits) -> None:
    """Every command says which metric it means; accuracies are in no column of another name."""
    (toy / "data" / "raw" / "sample_submission.csv").unlink()
    also = ("competition.metric=log-loss", "competition.submission_label=[up,mid,low]")
    assert "best " in (ranked := digits("baseline", also=also).stdout)
    assert re.search(r"best \w+: CV log loss \d\.\d{4}", ranked)
    made = digits("submit", also=also)
    assert made.returncode == 0, made.stderr
    shown = " ".join(made.stdout.split())
    assert "log loss not known yet" in shown
    assert "CV accuracy" not in shown
    frame = pd.read_csv(submission(toy))
    assert list(frame.columns) == ["ImageId", "up", "mid", "low"]
    assert np.allclose(frame[["up", "mid", "low"]].sum(axis=1), 1, atol=1e-5)
    assert (frame > 0).all(axis=None)
    [entry] = Ledger(toy / "submissions" / "ledger.csv").lines()
    assert re.search(r"expected \d\.\d{4} \(\d\.\d{4} to \d\.\d{4}\) log loss", entry["message"])
    assert (entry["cv_accuracy"], entry["holdout_accuracy"]) == ("", "")
    assert float(entry["expected_low"]) < float(entry["expected"]) < float(entry["expected_high"])
    assert "Nothing to do" in digits("submit", also=also).stdout
    assert digits("report", also=also).returncode == 0
    page = (toy / "reports" / "index.html").read_text()
    assert "log loss (lower is better)" in page
    assert "CV accuracy" not in page
    board = pd.read_csv(toy / "reports" / "baseline.csv")
    assert board["score"].is_monotonic_increasing
    assert np.allclose(board["score"], board["log_loss"])


@pytest.mark.skipif(not REAL_FASHION.exists(), reason="Fashion-MNIST's files are not beside the checkout")
def test_fashion_mnist_is_a_params_file(workspace: Path, digits: Digits) -> None:
    shutil.copy(ROOT / "params.fashion-mnist.yaml", workspace)
    quick = (
        "train.layers='MP4 16' train.epochs=1 train.refits=0 train.candidates=[default] train.extra=[] train.tta=[]"
        " train.budget=0.001 data.folds=2"
    )
    made = digits(
        "submit", "--params", "params.fashion-mnist.yaml", "--data", str(REAL_FASHION), "--sets", quick, toy=False
    )
    assert made.returncode == 0, made.stderr
    assert "Ankle boot: 6,000" in made.stdout
    lines = submission(workspace).read_text().splitlines()
    assert lines[0] == "id,label"
    assert lines[1].startswith("0,")
    assert len(lines) == 10_001


def test_a_refused_file_does_not_take_the_place_of_a_good_one(toy: Path, digits: Digits, tmp_path: Path) -> None:
    """Not even where the user names it: later commands go on with what was good."""
    (toy / "data" / "raw").rename(tmp_path / "good")
    named = ("data", "--data")
    assert digits(*named, str(tmp_path / "good")).returncode == 0
    write_toy_files(tmp_path / "bad", train_rows=90)
    refused = digits(*named, str(tmp_path / "bad"))
    assert refused.returncode == 2
    assert "90 rows, but 180 are expected" in refused.stderr
    again = digits("data")
    assert again.returncode == 0
    assert "Nothing to do" in again.stdout
    assert "good" in again.stdout


def test_commands_side_by_side_do_not_meet(toy: Path, digits: Digits) -> None:
    """A command with other data or params in another terminal changes nothing for this one."""
    assert digits("train").returncode == 0
    other = digits("submit", "--data", "practice", also=("train.seed=7",))
    assert other.returncode == 0, other.stderr
    assert "PRACTICE" in other.stdout, "it is loud and never looks real"
    assert "practice only" in other.stdout
    assert "kaggle competitions submit" not in other.stdout
    rest = digits("submit")
    assert rest.returncode == 0, rest.stderr
    assert {path.name.split("-")[0] for path in (toy / "submissions").glob("*-*.csv")} == {"practice", "toy"}


def test_the_largest_budget_that_was_used_up_is_remembered(
    toy: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a command with more minutes ends first."""

    def meanwhile(data: Dataset, part: Part, sizes: Sizes, runs: Path, *limits: Any) -> Executed:
        executed = execute(data, part, sizes, runs, *limits)
        write_json(RunFolder(runs, part.spec).path / "budget.json", {"minutes": 30.0})
        return executed

    monkeypatch.setattr("digits.cli.commands.train.execute", meanwhile)
    assert digits("train").returncode == 0
    [path] = (toy / "runs").glob("*/budget.json")
    assert read_json(path) == {"minutes": 30.0}


def test_several_faults_are_told_together_and_nothing_changes(toy: Path, digits: Digits) -> None:
    assert digits("data").returncode == 0
    before = tree(toy / "data" / "processed")
    train = toy / "data" / "raw" / "train.csv"
    lines = train.read_text().splitlines()
    lines[3] += ",1"
    lines[5] = lines[5].replace(",", ",x", 1)
    train.write_text("\n".join(lines) + "\n")
    refused = digits("data")
    assert refused.returncode == 2
    assert "1 rows do not have 145 cells, the first in row 4: it has 146" in refused.stderr
    assert "1 cells are not numbers, the first in row 6, column pixel0: 'x" in refused.stderr
    assert tree(toy / "data" / "processed") == before


@pytest.mark.skipif(not REAL_DIGITS.exists(), reason="the competition's own files are not beside the checkout")
def test_the_real_files_are_read_and_split(workspace: Path, digits: Digits) -> None:
    made = digits("data", "--data", str(REAL_DIGITS), toy=False)
    assert made.returncode == 0, made.stderr
    [folder] = (workspace / "data" / "processed").glob("digit-recognizer-*")
    images, folds = np.load(folder / "images.npy"), np.load(folder / "folds.npy")
    assert images.shape == (42000, 784)
    assert np.bincount(folds + 1).tolist() == [4200] + [7560] * 5
    assert np.load(folder / "test_ids.npy").tolist() == list(range(1, 28001))
