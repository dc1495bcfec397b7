"""What comes from others (files, archives, names, databases) is data: it runs nothing and stays where it belongs."""

import ast
import gzip
import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from digits.cli.describe import params_text
from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.plots import as_png, draw_images, drawing
from digits.config import Params, Paths, load_params
from digits.config.yaml_reader import parse_yaml
from digits.data.dataset import load_dataset
from digits.data.infer import infer
from digits.data.places import place_of
from digits.data.sources import find_source
from digits.data.understand import understand
from digits.report.chart import by_class
from digits.report.layout import Section
from digits.tuning.storage import _has_ended
from imports import SOURCE
from toys import ROOT, Digits, params_faults, prepare_toy, tree, write_toy_files

PLACES = [*SOURCE.rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]
RUN_CODE = {
    *("eval", "exec", "os.system", "os.popen", "shutil.unpack_archive", "yaml.unsafe_load", "yaml.full_load"),
    *("pickle.load", "pickle.loads", "joblib.load", "pd.read_pickle", "load_model", "keras.models.load_model"),
}
KNOWN = ("joblib.load(file)", "archive.extractall(folder)", "np.load(file, allow_pickle=True)", "yaml.load(text)")
SWITCHES = {"shell": "False", "allow_pickle": "False"}


def harmful(call: ast.Call) -> bool:
    """Whether a call would run, or unpack to where it says, what a file or a name contains."""
    name = ast.unparse(call.func)
    if name in RUN_CODE or name.endswith((".extract", ".extractall")):
        return True
    switched = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    return any(switched.get(word, harmless) != harmless for word, harmless in SWITCHES.items()) or (
        name == "yaml.load" and switched.get("Loader") != "_Loader"
    )


def test_nothing_that_would_run_a_file_is_called() -> None:
    """Fitted pipelines are written with joblib for whoever wants them, and never read."""
    assert all(harmful(ast.parse(text, mode="eval").body) for text in KNOWN)  # type: ignore[arg-type]
    calls = [(path, node) for path in PLACES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    found = [f"{path}, line {node.lineno}" for path, node in calls if isinstance(node, ast.Call) and harmful(node)]
    assert found == []


class Harm:
    """Writes a file where it is unpickled."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("name", ["images.npy", "test_ids.npy"])
def test_a_pickle_in_place_of_an_array_is_not_loaded(name: str, tmp_path: Path) -> None:
    folder, harm = prepare_toy(tmp_path / "arrays").folder, Harm(tmp_path / "harm")
    for content in (pickle.dumps(harm), _array_of(harm)):
        (folder / name).write_bytes(content)
        with pytest.raises((UserError, ValueError)):
            load_dataset(folder)
    assert not harm.file.exists()
    pickle.loads(content[content.index(b"\x80") :])
    assert harm.file.exists(), "it would have been harm"


def _array_of(value: object) -> bytes:
    """A NumPy file of one object, which is a pickle."""
    written = io.BytesIO()
    np.save(written, np.array([value], dtype=object), allow_pickle=True)
    return written.getvalue()


def zipped(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for path in sorted(folder.iterdir()):
            opened.write(path, path.name)
    return archive


def understating(archive: Path, name: str) -> Path:
    """The archive, whose directory and headers say that a file has a hundred bytes unpacked."""
    with zipfile.ZipFile(archive) as opened:
        size = struct.pack("<L", opened.getinfo(name).file_size)
    archive.write_bytes(archive.read_bytes().replace(size, struct.pack("<L", 100)))
    return archive


def test_an_archive_that_unpacks_to_more_than_it_says_is_stopped(
    toy_params: Params, toy_files: Path, tmp_path: Path
) -> None:
    paths = Paths(tmp_path / "project")
    with pytest.raises(
        UserError, match=r"toy.zip: the file is damaged or cut short \(Bad CRC-32 for file 'train.csv'\)"
    ):
        find_source(
            toy_params.competition, paths, str(understating(zipped(toy_files, tmp_path / "toy.zip"), "train.csv"))
        )
    assert tree(paths.root) == {}


@pytest.mark.parametrize("packed", ["gz", "gz in zip", "zip in zip"])
def test_a_bomb_is_stopped_at_the_limit_and_leaves_nothing(
    packed: str, toy_params: Params, toy_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("digits.data.places.LARGEST_FILE", 2**20)
    bomb, named, paths = bytes(2**22), tmp_path / "outer.zip", Paths(tmp_path / "project")
    if packed.startswith("gz"):
        (toy_files / "train.csv.gz").write_bytes(gzip.compress(bomb))
    else:
        with zipfile.ZipFile(toy_files / "train.csv.zip", "w", zipfile.ZIP_DEFLATED) as opened:
            opened.writestr("train.csv", bomb)
    (toy_files / "train.csv").unlink()
    place = toy_files if packed == "gz" else zipped(toy_files, named)
    with pytest.raises(UserError, match=r"limit (of|is) 4 GiB"):
        find_source(toy_params.competition, paths, str(place))
    assert tree(paths.root) == {}


def test_a_zip_in_a_zip_is_looked_at_before_it_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as opened:
        opened.writestr("train.csv.zip", b"PK")
    content = (tmp_path / "outer.zip").read_bytes()
    at = content.index(b"PK\x01\x02") + 8  # the flags in the directory
    (tmp_path / "outer.zip").write_bytes(content[:at] + b"\1" + content[at + 1 :])
    with pytest.raises(UserError, match=r"train.csv.zip is encrypted"):
        place_of(str(tmp_path / "outer.zip"))


@pytest.mark.parametrize(
    "override",
    [
        "competition.slug=../up",
        "competition.train_file=../up.csv",
        "competition.test_file=/etc/up.csv",
        "competition.sample_file=.up.csv",
        "competition.labels_file=a\\up.csv",
        "baseline.models={../up: {kind: knn}}",
        "networks={a/b: {}}",
        "tune.model=../up",
        "tune.enqueue={..: {}}",
    ],
)
def test_names_in_params_that_become_paths_have_no_folders(override: str) -> None:
    assert any("must be the name of" in fault or "must be a name of" in fault for fault in params_faults(override))


def test_a_slug_that_is_typed_has_none_either(workspace: Path, digits: Digits) -> None:
    before = tree(workspace.parent)
    refused = digits("init", "--data", "kaggle:../../up", toy=False)
    assert refused.returncode == 2
    assert "slug = '../../up', but it must be a name of letters, digits and hyphens" in refused.stderr
    assert {name for name in tree(workspace.parent) if "up" in name} <= {*before}


def test_names_of_columns_reach_no_shell_as_advice(workspace: Path, digits: Digits) -> None:
    """What is printed to be typed has no word that means more than itself to a shell."""
    files = workspace / "my $(id) files"
    write_toy_files(files)
    for name in ("$(reboot)", "`id`", "a;b", "a&b", "$HOME"):
        pd.read_csv(files / "train.csv").set_axis([name, *(f"pixel{number}" for number in range(144))], axis=1).to_csv(
            files / "train.csv", index=False
        )
        advice = digits("data", "--data", str(files)).stderr
        assert "SET=" not in advice
        assert f"make init DATA='{files}' writes a params file" in advice


HOSTILE = ("a\nsubmit: {upload: true}", "b\u2028submit: {upload: true}", "c\x85\x1b[2J", "# d: $e$ 'f' \"g\"")


def test_names_in_files_stay_in_their_line_of_the_params(tmp_path: Path, params: Params) -> None:
    write_toy_files(tmp_path / "files")
    train = pd.read_csv(tmp_path / "files" / "train.csv")
    train["label"] = [HOSTILE[label] for label in train["label"]]
    train.to_csv(tmp_path / "files" / "train.csv", index=False)
    base = params.competition.model_copy(update={"slug": "mine"})
    found = understand(str(tmp_path / "files"), base, Paths(tmp_path), "local")
    for name in HOSTILE:
        found.values["class_names"] = found.values["label_column"] = name
        found.why["label_column"] = found.why["classes"] = f"a column {name}"
        content = parse_yaml(params_text(found, params, upload=False))
        assert content["submit"] == {"upload": False}
        assert content["competition"]["label_column"] == name
        assert content["competition"]["classes"] == 3


def test_names_in_files_cannot_rule_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console, name = Console(plain=True), "safe\x1b[2J\x1b]0;title\x07\x9b2J\r\x08gone"
    console.say(name)
    console.warn(name)
    console.error(name)
    console.table(["name"], [[name]])
    with console.status(name):
        pass
    shown = capsys.readouterr()
    assert not {*shown.out, *shown.err} & {"\x1b", "\x07", "\x08", "\x9b", "\r"}
    assert (shown.out + shown.err).count(r"safe\x1b[2J\x1b]0;title\x07\x9b2J\x0d\x08gone") == 5


def test_names_in_files_are_no_formulas() -> None:
    with drawing():
        figure = plt.figure()
        draw_images(figure, np.zeros((2, 4, 4, 1), np.uint8), [r"$\frac{1$", "$x^{$"], 2)
        assert as_png(figure, 50)


def test_names_in_files_are_no_part_of_the_page() -> None:
    name = "<script>alert('x')</script>"
    chart = by_class(name, [name, "b"], [1, 2], name, "d")
    section = Section("id", name, sentences=[name], figures=[chart])
    section.add_gallery(name, [(b"", [name])])
    assert "<script>" not in "".join(figure.body for figure in section.figures)


def test_a_shared_database_names_no_file_to_remove(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("digits.tuning.storage.gettempdir", lambda: str(tmp_path))
    (tmp_path / "mine").touch()
    (tmp_path / "digits-tune-1").touch()
    assert [_has_ended(name) for name in ("mine", "../mine", "digits-tune-1")] == [False, False, True]
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("text", ["a: 2024-13-45", "[" * 5000, f"a: {'1' * 5000}"])
def test_yaml_that_breaks_its_reader_is_refused_with_the_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=r"mine.yaml: not valid YAML"):
        load_params(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    "content", [b'a,"' + b"x" * 200_000 + b"\n1,2\n", b"label,pixel0\r1,2\r", b'a,b\n1,"' + b"x" * 200_000]
)
def test_a_table_that_breaks_its_reader_is_refused_with_the_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"train.csv"):
        infer(place_of(str(tmp_path)))


def test_the_page_on_security_says_where_it_is_proved() -> None:
    assert "tests/test_security.py" in (ROOT / "SECURITY.md").read_text()
