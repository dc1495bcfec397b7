"""The script that is sent to Kaggle has what is needed there, and nothing that is secret."""

import base64
import io
import re
import tarfile
from pathlib import Path

import pytest

from digits.config import load_params
from digits.kernel.script import script
from digits.kernel.there import NEEDED
from imports import SOURCE
from toys import ROOT

PASSWORD = "canary-of-a-password"


def unpacked(text: str, folder: Path) -> Path:
    [packed] = re.findall(r'PACKED = """\n(.*)"""', text, re.DOTALL)
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed))) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize("file", ["params.yaml", "params.fashion-mnist.yaml"])
def test_the_params_there_are_those_here_but_for_the_password(file: str, tmp_path: Path) -> None:
    address = f"postgresql://someone:{PASSWORD}@host/studies"
    params = load_params(ROOT / file, ["train.epochs=3", f"tune.storage={address}"])
    folder = unpacked(script(params, {}), tmp_path)
    assert load_params(folder / "params.yaml") == load_params(ROOT / file, ["train.epochs=3", "train.use_tuned=false"])
    assert not any(PASSWORD.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_the_package_is_whole_but_for_rooms_that_train_nothing(tmp_path: Path) -> None:
    params = load_params(ROOT / "params.yaml")
    text = script(params, {"a": 1})
    assert text == script(params, {"a": 1}), "to the byte"
    folder = unpacked(text, tmp_path)
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE)
        there = folder / "digits" / name
        assert there.exists() == (name.parts[0] not in ("demo", "export", "replication", "report", "tuning", "watch"))
        assert not there.exists() or there.read_bytes() == path.read_bytes()


def test_what_is_needed_there_is_no_newer_than_what_is_here() -> None:
    from importlib.metadata import version

    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(".")[:2]]

    for name, least in NEEDED.items():
        assert numbers(least) <= numbers(version(name))
