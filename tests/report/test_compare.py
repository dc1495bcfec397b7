"""`make compare` says what differs between two runs, whether one is better, and on which images."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits.cli.context import Context
from digits.cli.main import main
from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.sealed import read_json, sealed_folder, write_json
from digits.config import Paths, load_params
from digits.data.dataset import Dataset
from digits.ensemble.blend import make_blend, save_blend
from digits.ensemble.combine import methods
from digits.ensemble.members import Members
from digits.ensemble.selection import select_method
from digits.evaluation.scoring import ACCURACY
from digits.report.compared import Compared, read, resolve
from digits.report.comparison import pair, sections
from digits.training.candidates import baseline_runs
from digits.training.fitting import fit_fold_unit
from digits.training.runs import RunFolder, RunSpec
from toys import ROOT, TOY, Shown, digits_arguments, write_toy_files

Compare = Callable[..., Shown]
# some images are predicted wrongly
WEAK = ("baseline.models.small.max_iter=1", "baseline.models.small.learning_rate_init=1e-3")
FEWER, TWO_FOLDS = "competition.train_rows=150", "data.folds=2"


def fitted(root: Path, name: str, *also: str, data_path: str = "data/raw", folds: int = 3) -> tuple[Dataset, RunSpec]:
    """A baseline with so many of its folds."""
    assert main(digits_arguments("data", f"--data={data_path}", also=also)) == 0
    params = load_params(ROOT / "params.yaml", (*TOY, *also))
    data = Context(params, Paths(root), Console(plain=True), data_path=data_path).data
    spec = next(spec for spec in baseline_runs(params, data) if spec.name == name)
    for fold in range(folds):
        fit_fold_unit(data, root / "runs", spec, fold)
    return data, spec


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two baselines on the toy images and two blends; one baseline also on another fold, and on fewer images."""
    root = tmp_path_factory.mktemp("project")
    (root / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    write_toy_files(root / "data" / "raw")
    write_toy_files(root / "fewer", train_rows=150)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        fitted(root, "nearest", FEWER, data_path="fewer")
        fitted(root, "nearest", TWO_FOLDS, folds=1)
        data, good = fitted(root, "nearest", *WEAK)
        weak = fitted(root, "small", *WEAK)[1]
    blended(root, "blend-both", data, good, weak)
    blended(root, "blend-one", data, weak)
    return root


def blended(root: Path, name: str, data: Dataset, *specs: RunSpec) -> None:
    """A blend of runs with three folds."""
    members = Members(tuple(RunFolder(root / "runs", spec).units(3) for spec in specs), (0, 1, 2), data)
    chosen, labels = members.predictions(data), np.asarray(data.labels)
    rows = chosen[0].rows
    selection = select_method(chosen, methods(len(specs), 20, 0.1), labels[rows], np.asarray(data.folds)[rows])
    blend, predictions = make_blend(name, selection, labels[rows], labels[data.holdout_rows], members.units)
    save_blend(root / "runs", blend, predictions, b"", data.about)


@pytest.fixture
def compare(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Compare]:
    """Runs the command in the project; its page is removed at the end."""
    monkeypatch.chdir(project)

    def run(*names: str, also: tuple[str, ...] = WEAK) -> Shown:
        runs = [f"--runs={' '.join(names)}"] if names else []
        capsys.readouterr()
        status = main(digits_arguments("compare", *runs, also=also))
        shown = capsys.readouterr()
        return Shown(status, " ".join(shown.out.split()), shown.err)

    yield run
    (project / "reports" / "compare.html").unlink(missing_ok=True)


def nearest(project: Path, rows: int = 180, folds: int = 3) -> Compared:
    """The run of `nearest` on so many images in so many folds."""
    found = [read(path, project / "data" / "processed") for path in (project / "runs").glob("nearest-*")]
    return next(each for each in found if len(each.data.labels) == rows and each.data.fold_count == folds)


def errors(project: Path, name: str) -> np.ndarray:
    [path] = (project / "runs").glob(f"{name}-*")
    run = read(path, project / "data" / "processed")
    wrong: np.ndarray = run.oof.argmax(axis=1) != np.asarray(run.data.labels)[run.rows]
    return wrong


def test_two_runs_are_compared_image_by_image(project: Path, compare: Compare) -> None:
    found = nearest(project)
    shown = compare("small", found.name)
    assert shown.returncode == 0, shown.stderr
    wrong, others = errors(project, "small"), found.oof.argmax(axis=1) != np.asarray(found.data.labels)[found.rows]
    fewer, alone, back = int(wrong.sum() - others.sum()), int((wrong & ~others).sum()), int((others & ~wrong).sum())
    assert fewer > 10
    assert f"nearest makes {fewer} fewer errors than small on {len(wrong)} images; difference in acc" in shown.stdout
    assert "more than chance; reports/compare.html" in shown.stdout
    assert "the same images in the same folds" in shown.stdout
    assert "libraries: the same" in shown.stdout
    assert "kind mlp knn" in shown.stdout
    assert f"nearest alone predicts {alone} images correctly" in shown.stdout
    page = (project / "reports" / "compare.html").read_text()
    assert page.count('alt="row ') == min(24, alone) + min(24, back)
    [small] = (read(path, project / "data" / "processed") for path in (project / "runs").glob("small-*"))
    worst = max(np.flatnonzero(wrong & ~others), key=lambda place: small.oof[place].max())
    row, label = int(found.rows[worst]), int(found.data.labels[found.rows[worst]])
    assert f"nearest {row + 2} {label} {small.oof[worst].argmax()}, {small.oof[worst].max():.0%}" in shown.stdout


def test_the_other_way_round_all_signs_change(project: Path, compare: Compare) -> None:
    name = nearest(project).name
    shown = compare("small", name).stdout, compare(name, "small").stdout
    figure = r"(-?\d\.\d{4}) \((-?\d\.\d{4}) to (-?\d\.\d{4})\): more"
    there, back = ([[*map(float, found)] for found in re.findall(figure, each)[1:3]] for each in shown)
    assert len(there) == 2  # accuracy and log loss, after the sentence
    assert [[-value, -high, -low] for value, low, high in there] == back
    sentences = [re.findall("nearest makes .*? chance", each)[0] for each in shown]
    assert sentences[0] == sentences[1]


def test_a_run_differs_from_itself_in_nothing(project: Path, compare: Compare) -> None:
    shown = compare("small", "small")
    assert "No param differs." in shown.stdout
    assert re.search(r"small-\w+ small-\w+ again small-\w+ again is better by CV accuracy", shown.stdout)
    assert "no difference can be told" in shown.stdout
    assert "more than chance" not in shown.stdout
    assert "alone predicts 0 images correctly" in shown.stdout
    assert "<img" not in (project / "reports" / "compare.html").read_text()


def test_without_names_the_two_newest_of_these_data_are_compared(project: Path, compare: Compare) -> None:
    shown = compare()
    [small] = (project / "runs").glob("small-*")
    assert "blend-both is better than" not in shown.stdout
    assert re.search(r"blend-both makes \d+ fewer errors than blend-one", shown.stdout)
    assert "blend-one is better by" in shown.stdout  # it is the newer one
    assert f"members.{small.name} 3 fits" in shown.stdout
    assert f"members.{nearest(project).name} 3 fits" in shown.stdout


def test_a_blend_of_one_run_is_as_good_as_that_run(compare: Compare) -> None:
    shown = compare("small", "blend-one")
    assert "kind mlp blend" in shown.stdout
    assert "blend is as good as small on 162 images" in shown.stdout


def test_runs_on_other_folds_are_compared_on_the_images_of_both(project: Path, compare: Compare) -> None:
    usual, other = nearest(project), nearest(project, folds=2)
    shared = np.intersect1d(usual.rows, other.rows)
    assert 0 < len(shared) < len(usual.rows)
    shown = compare(usual.name, other.name)
    assert "the same labelled images, but not the same folds" in shown.stdout
    assert "folds 3 1" in shown.stdout
    assert f"on {len(shared)} images" in shown.stdout
    right = (run.oof[np.isin(run.rows, shared)].argmax(axis=1) == usual.data.labels[shared] for run in (usual, other))
    assert re.search(
        r"CV accuracy {:.4f} \(\S+ to \S+\) {:.4f} ".format(*(each.mean() for each in right)), shown.stdout
    )
    assert usual.name in shown.stdout  # the model's name would not tell them apart


def test_runs_on_other_images_are_not_compared(project: Path, compare: Compare) -> None:
    shown = compare(nearest(project).name, nearest(project, rows=150).name)
    assert shown.returncode == 0
    assert "other images (hashes" in shown.stdout
    assert "cannot be told: no labelled image is predicted out of fold by both" in shown.stdout
    assert "chance" not in shown.stdout


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("small", "neerest"), "RUNS: there is no run or blend 'neerest'; did you mean nearest?"),
        (("small", "nearest"), "RUNS: 'nearest' may be any of nearest-"),
        (("small", "zzz"), "valid names: blend, nearest, small"),
        (("small",), 'RUNS takes two runs or blends, as in RUNS="'),
        (("small", "small", "small"), "RUNS takes two runs or blends"),
    ],
)
def test_what_cannot_be_found_is_said_in_a_line(compare: Compare, names: tuple[str, ...], said: str) -> None:
    shown = compare(*names)
    assert shown.returncode == 2
    assert said in shown.stderr
    assert shown.stderr.count("\n") == 1


def test_one_run_is_not_enough(project: Path, compare: Compare) -> None:
    shown = compare(also=(TWO_FOLDS,))
    assert shown.returncode == 2
    only = (
        f"only {nearest(project, folds=2).name} is finished with these data, and two are compared; type: make baseline"
    )
    assert only in shown.stderr
    assert "type: make data" in compare(also=("data.folds=4",)).stderr


def test_what_cannot_be_read_is_refused(project: Path, compare: Compare, tmp_path: Path) -> None:
    [path] = (project / "runs").glob("small-*")
    with pytest.raises(UserError, match="its images are no longer in data/processed"):
        read(path, tmp_path)
    both, former = project / "runs" / "blend-both", tmp_path / "blend-former"
    content = read_json(both / "blend.json")
    assert content
    with sealed_folder(former) as folder:
        shutil.copy(both / "about.json", folder)
        write_json(folder / "blend.json", {key: value for key, value in content.items() if key != "combination"})
    with pytest.raises(UserError, match="another version"):
        read(former, project / "data" / "processed")


def test_a_name_may_be_cut_if_it_stays_unique(tmp_path: Path) -> None:
    for name in ("mlp-1a2b", "mlp-64-3c4d", "cnn-5e6f", "cnn-7a8b"):
        write_json(tmp_path / name / "run.json", {})
    assert [path.name for path in resolve(("mlp", "mlp-6"), tmp_path)] == ["mlp-1a2b", "mlp-64-3c4d"]
    assert [path.name for path in resolve(("cnn-7", "cnn-5e6f"), tmp_path)] == ["cnn-7a8b", "cnn-5e6f"]
    with pytest.raises(UserError, match="may be any of cnn-5e6f, cnn-7a8b"):
        resolve(("mlp", "cnn"), tmp_path)


def test_the_report_links_to_a_comparison_that_there_is(project: Path, compare: Compare) -> None:
    def linked() -> bool:
        assert main(digits_arguments("report", also=WEAK)) == 0
        return (
            '<a href="compare.html">compare.html</a> compares two' in (project / "reports" / "index.html").read_text()
        )

    assert not linked()
    compare("small", "blend-one")
    assert linked()


def test_only_params_that_differ_are_listed_with_both_values(project: Path) -> None:
    found = nearest(project)
    old: dict[str, Any] = {
        "kind": "cnn",
        "layers": "8C3 8",
        "augment": {"zoom": 0.1, "flip": False},
        "tta": [],
        "clipnorm": None,
    }
    new = {**old, "augment": {"zoom": 0.1, "flip": True}, "tta": [{"rotation": 7.0}], "clipnorm": 1.0, "units": [8, 8]}
    compared = pair(replace(found, params=old), replace(found, params=new, version="1a2b"), ACCURACY)
    section = sections(compared)[0]
    [table] = section.tables
    assert [tuple(text for _, text, _ in row) for row in table.rows] == [
        ("augment.flip", "false", "true"),
        ("tta.0", "", '{"rotation": 7.0}'),
        ("clipnorm", "null", "1.0"),
        ("units", "", "[8, 8]"),
    ]
    assert "not known to be the same (today's; 1a2b)" in " ".join(section.sentences)
