"""What lies in runs/ is listed with what uses it, and nothing is removed that is used, read, or not named."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from digits.cli.context import Context, Outcome
from digits.common.errors import UserError
from digits.common.files import atomic_folder, in_use, remove_folder, write_atomic
from digits.common.sealed import write_json
from digits.config import Params, Paths
from digits.data.dataset import Dataset
from digits.ensemble.blend import make_blend, save_blend
from digits.ensemble.combine import methods
from digits.ensemble.members import Members, blend_name
from digits.ensemble.selection import select_method
from digits.report.inventory import Item, inventory, user_of
from digits.training.candidates import baseline_runs, network_runs, networks
from digits.training.device import Device
from digits.training.fitting import fit_fold_unit
from digits.training.runs import RunFolder, RunSpec
from digits.training.tuned import studies_of
from toys import Digits, prepare_toy, tree, write_toy_files

DEVICE = Device("CPU", 0, "float32", 16, 1, 1.0, 2)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


@pytest.fixture
def data(paths: Paths) -> Dataset:
    """Prepared arrays of the toy competition, among others of the same and of another competition."""
    for name, slug, content in (("old", "toy", "other folds"), ("other", "fashion", "fashion")):
        write_json(paths.processed / name / "about.json", {"slug": slug, "hash": content})
    return prepare_toy(paths.processed / "toy")


def listed(params: Params, data: Dataset, paths: Paths) -> dict[str, Item]:
    return {item.name: item for item in inventory(paths, user_of(params, data, DEVICE, {}, paths))}


def opened(paths: Paths, spec: RunSpec) -> str:
    RunFolder(paths.runs, spec).open()
    return spec.folder_name


def test_every_run_says_what_uses_it(toy_params: Params, data: Dataset, paths: Paths) -> None:
    study, *others = studies_of(toy_params, data, paths.studies)
    [network, *_] = network_runs(networks(toy_params)[0], toy_params, data, DEVICE).values()
    nearest = baseline_runs(toy_params, data)[1]
    fit_fold_unit(data, paths.runs, nearest, 0)
    expected: dict[str, str | None] = {
        opened(paths, nearest): "make baseline",
        opened(paths, network): "make train",
        opened(paths, replace(network, model=network.model | {"learning_rate": 9.0})): "",
        opened(paths, replace(network, code="older")): "",
        opened(paths, replace(network, data="other folds")): "",
        opened(paths, replace(network, data="fashion")): None,
        f"tune/{study.name}": "make tune",
        f"tune/{others[0].name}": "make tune",
        "tune/train-older": "",
        "tune/of-unknown-data": None,
        "recipes": None,
        "machines": "make train, tune, recipes",
    }
    for name in ("of-unknown-data", "train-older", study.name, others[0].name):
        (paths.studies / name).mkdir(parents=True)
    write_json(paths.studies / "train-older" / "study.json", {"data": "toy"})
    write_json(paths.runs / "recipes" / "abc" / "result.json", {})
    write_json(paths.runs / "machines" / "abc.json", {})
    found = listed(toy_params, data, paths)
    assert {name: item.user for name, item in found.items()} == expected
    item = found[nearest.folder_name]
    assert item.fits == 1
    assert item.size == sum(map(len, tree(item.paths[0]).values()))
    practice = replace(data, about=data.about | {"provenance": "practice"})
    hidden = listed(toy_params, practice, paths)
    assert hidden[replace(network, data="other folds").folder_name].user is None, "the competition's own, not practice"


def test_a_blend_is_used_until_its_members_have_more_fits(toy_params: Params, data: Dataset, paths: Paths) -> None:
    nearest = baseline_runs(toy_params, data)[1]
    for fold in (0, 1):
        fit_fold_unit(data, paths.runs, nearest, fold)
    chosen = Members((RunFolder(paths.runs, nearest).units(3),), (0, 1), data)
    used = chosen.predictions(data)
    labels, rows = data.labels, used[0].rows
    selection = select_method(used, methods(1, 20, 0.1), labels[rows], data.folds[rows])
    name = blend_name(toy_params, chosen.units)
    for each in (name, "blend-of-other-params"):
        blend, predictions = make_blend(each, selection, labels[rows], labels[data.holdout_rows], chosen.units)
        save_blend(paths.runs, blend, predictions, b"a picture")
    write_json(paths.runs / "blend-older" / "blend.json", {"cv": {}})
    found = listed(toy_params, data, paths)
    assert {each: item.user for each, item in found.items() if each.startswith("blend")} == {
        name: "make ensemble",
        "blend-of-other-params": "",
        "blend-older": "",
    }
    fit_fold_unit(data, paths.runs, nearest, 2)
    assert listed(toy_params, data, paths)[name].user == ""


def test_what_was_damaged_is_used_by_nothing(toy_params: Params, data: Dataset, paths: Paths) -> None:
    left = (
        paths.runs / ".damaged-cnn-1-abc123",
        paths.runs / "cnn-2" / ".damaged-fold-0-abc123",
        paths.processed / ".damaged-toy-4-abc123",
    )
    damaged_copy = paths.copies / ".damaged-toy-3-abc123"  # it may be the user's only one
    for folder in (*left, damaged_copy, paths.copies / "toy-5", paths.copies / "toy-6"):
        folder.mkdir(parents=True)
    write_json(paths.copies / "toy-5" / "accepted.json", {})
    (paths.runs / ".lock").touch()
    for user in (user_of(toy_params, data, DEVICE, {}, paths), lambda name: None):
        found = {path for item in inventory(paths, user) if item.user == "" for path in item.paths}
        assert found == set(left)
        copies = {item.paths[0].name: item.user for item in inventory(paths, user) if "copies/toy" in item.name}
        assert copies == {"toy-5": "commands without DATA", "toy-6": None}
        assert [item.user for item in inventory(paths, user) if item.paths == (damaged_copy,)] == [None]


@pytest.fixture
def toy(workspace: Path) -> Path:
    """A project with the toy files, of whose runs one is used and two are not."""
    write_toy_files(workspace / "data" / "raw")
    return workspace


@pytest.fixture
def unused(toy: Path, digits: Digits) -> list[Path]:
    assert digits("baseline", "--only", "nearest").returncode == 0
    [used] = (toy / "runs").glob("nearest-*")
    found = [toy / "runs" / name for name in ("blend-old", "nearest-old")]
    for folder in found:
        folder.mkdir()
        (folder / "run.json").write_bytes((used / "run.json").read_bytes())
    return found


def test_nothing_is_removed_without_a_word(
    toy: Path, digits: Digits, unused: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither without a terminal, nor where the answer is not yes."""
    before = tree(toy / "runs")
    shown = digits("clean-runs")
    assert shown.returncode == 0
    assert "nothing removed; make clean-runs FORCE=1 removes these" in shown.stdout
    assert all(folder.name in shown.stdout for folder in unused)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    for answer in ("", "n", "no"):
        monkeypatch.setattr("builtins.input", lambda _, answer=answer: answer)
        assert digits("clean-runs").returncode == 0
    assert tree(toy / "runs") == before
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert digits("clean-runs").returncode == 0
    assert not any(folder.exists() for folder in unused)


def test_what_is_used_stays_unless_it_is_named(toy: Path, digits: Digits, unused: list[Path]) -> None:
    assert "nearest-*" not in digits("runs").stdout
    refused = digits("clean-runs", "--force", "--only", "nearst-*")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert digits("clean-runs", "--force", "--only", "blend-*").returncode == 0
    assert [folder.exists() for folder in unused] == [False, True]
    assert digits("clean-runs", "--force").returncode == 0
    assert sorted(path.name[:8] for path in (toy / "runs").glob("[!.]*")) == ["machines", "nearest-"]
    assert "Nothing to do" in digits("baseline", "--only", "nearest").stdout
    assert "Nothing to do" in digits("clean-runs", "--force").stdout
    assert digits("clean-runs", "--force", "--only", "nearest-*").returncode == 0
    assert not [*(toy / "runs").glob("nearest-*")]


def test_nothing_is_removed_under_a_command_at_work(toy: Path, digits: Digits, unused: list[Path]) -> None:
    before = tree(toy / "runs")
    with in_use(toy / "runs"), in_use(toy / "runs"):
        refused = digits("clean-runs", "--force")
        assert refused.returncode == 2
        assert "another command is using" in refused.stderr
    assert tree(toy / "runs") == before
    with in_use(toy / "runs", alone=True), pytest.raises(UserError), in_use(toy / "runs", alone=True):
        pass


@pytest.mark.parametrize("command", ["report", "train"])
def test_every_command_keeps_others_from_removing(
    toy: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def stage(context: Context) -> Outcome:
        with pytest.raises(UserError, match="another command"), in_use(context.paths.runs, alone=True):
            pass
        return Outcome("tried", worked=False)

    for name in ("fetch", "prepare", command):
        monkeypatch.setattr(f"digits.cli.commands.{name}.run", stage)
    assert "tried" in digits(command).stdout
    with in_use(toy / "runs", alone=True):
        pass


@pytest.mark.parametrize("missing", ["data", "device"])
def test_without_data_or_a_measured_device_it_is_listed_all_the_same(
    toy: Path, digits: Digits, unused: list[Path], missing: str
) -> None:
    if missing == "data":
        (toy / "data" / "raw" / "train.csv").unlink()
    else:
        for path in (toy / "runs" / "machines").glob("*.json"):
            path.unlink()
    before = tree(toy / "runs")
    shown = digits("runs")
    assert shown.returncode == 0
    assert "it is unknown which commands use them: " in shown.stdout
    assert [folder.name in shown.stdout for folder in unused] == [True, True]
    assert digits("clean-runs", "--force").returncode == 0
    assert tree(toy / "runs") == before, "it is not known whether it is used, and nothing was measured to know it"


def test_what_other_commands_are_writing_stops_no_list(paths: Paths) -> None:
    """Folders that are renamed and files that are replaced between two looks at them."""
    stop = threading.Event()

    def write(run: int) -> None:
        for number in itertools.cycle(range(3)):
            unit = paths.runs / f"cnn-{run}" / f"fold-{number}"
            with atomic_folder(unit) as folder:
                (folder / "model").mkdir()
                write_json(folder / "model" / "layers.json", {"run": run})
            remove_folder(unit)
            if stop.is_set():
                return

    with ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(write, run) for run in range(3)]
        try:
            listed = [inventory(paths, lambda _: None) for _ in range(300)]
        finally:
            stop.set()
        assert [work.result() for work in writing] == [None] * 3
    assert any(listed)


def test_temporary_files_beside_the_runs_are_removed_too(workspace: Path, digits: Digits) -> None:
    """As a command leaves them that is killed while it writes a page or the ledger."""
    left = [workspace / name for name in ("reports/tune/.history.png-a1b2c3d4", "submissions/.ledger.csv-b2c3d4e5")]
    kept = [workspace / name for name in ("submissions/.ledger.lock", "submissions/.gitignore", "reports/index.html")]
    for path in (*left, *kept):
        write_atomic(path, "some")
    assert digits("clean-runs", "--force").returncode == 0
    assert [path.exists() for path in (*left, *kept)] == [False, False, True, True, True]
