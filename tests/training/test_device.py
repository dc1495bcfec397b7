"""What networks are trained with: the fastest here, found once, and said."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import joblib
import pytest

from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.processes import Send
from digits.common.sealed import write_json
from digits.config import Params
from digits.training import probing
from digits.training.device import Device, forget_speeds, measured_device
from toys import Digits, write_toy_files

pytestmark = pytest.mark.slow


def test_fits_beside_each_other_share_the_cores(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device("CPU", 0, "float32", 128, 2, 1.0, 3)
    assert device.resolve(params.train).threads == 2
    assert [device.resolve(params.train, beside).threads for beside in (1, 2, 4, 9)] == [6, 3, 1, 1]
    three = Device("H100", 3, "float32", 128, 2, 1.0, 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    one = Device("H100", 1, "float32", 128, 6, 1.0, 1)
    assert (three.workers, one.workers, device.workers) == (["0", "1", "2"], ["0"], [None] * 3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5,7")
    assert (three.workers, one.workers) == (["2", "5", "7"], ["2"])


def test_several_fits_take_the_cards_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that all cards work where there are fewer fits than places for them."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    two = Device("Tesla T4", 2, "mixed_float16", 128, 1, 3.0, 8, jit_compile=True)
    assert two.workers == ["0", "1"] * 4
    assert replace(two, gpus=1, parallel_fits=4).workers == ["0"] * 4
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    assert two.workers == ["GPU-a", "GPU-b"] * 4
    assert two.where == "2 x Tesla T4"


def test_only_what_is_auto_is_settled(params: Params) -> None:
    device = Device("CPU", 0, "mixed_bfloat16", 256, 3, 2.0, 1)
    settled = device.resolve(params.train)
    assert (settled.precision, settled.batch_size, settled.threads) == ("mixed_bfloat16", 256, 3)
    assert settled.jit_compile is False
    compiling = replace(device, jit_compile=True)
    assert compiling.resolve(params.train).jit_compile is True
    said = {"precision": "float32", "batch_size": 77, "threads": 1, "jit_compile": False}
    own = params.train.model_copy(update=said)
    assert compiling.resolve(own) == own
    assert device.where == "the processor"
    assert Device("H100", 2, "mixed_bfloat16", 256, 3, 2.0, 2).where == "2 x H100"


def test_the_machine_is_measured_once(probed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("digits.training.device.probe", lambda *_: pytest.fail("measured again"))
    first = measured_device(probed, Console(plain=True))
    assert measured_device(probed, Console(plain=True)) == first
    # another processor, or libraries for a GPU installed since then
    for name, other in (("processor", lambda: "another"), ("find_spec", lambda _: object())):
        with monkeypatch.context() as patch:
            patch.setattr(f"digits.training.device.{name}", other)
            with pytest.raises(pytest.fail.Exception, match="measured again"):
                measured_device(probed, Console(plain=True))


def test_what_did_not_agree_with_fits_is_measured_again(
    probed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The probe is told what was found before, and the user what is of no more use."""
    shutil.copytree(probed, tmp_path, dirs_exist_ok=True)
    write_json(tmp_path / "timing-old.json", {})
    first, asked = measured_device(tmp_path, Console(plain=True)), list[dict[str, object]]()

    def probe(_: Console, known: dict[str, object], __: object) -> dict[str, object]:
        asked.append(known)
        return vars(replace(first, precision="other"))

    monkeypatch.setattr("digits.training.device.probe", probe)
    for _ in range(2):  # another command may do the same
        forget_speeds(tmp_path)
    assert not list(tmp_path.glob("timing-*"))
    with pytest.raises(UserError, match="not measured yet"):
        measured_device(tmp_path, None)
    for _ in range(2):
        assert measured_device(tmp_path, Console(plain=True)) == replace(first, precision="other")
    assert [{name: known[name] for name in vars(first)} for known in asked] == [vars(first)]
    assert f"faster here than {first.precision} with " in capsys.readouterr().out.replace("\n", " ")


def test_the_probe_tries_every_precision_and_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_ROUNDS", 0.0)
    device = measured_device(tmp_path, Console(plain=True))
    assert device.gpus or device.name == "CPU"
    assert device.parallel_fits * device.threads <= max(joblib.cpu_count(), device.gpus)
    measured = json.loads(next(tmp_path.glob("*.json")).read_text())["measured"]
    assert measured["seen"]["memory"] > 100
    for field, values in (("precision", probing.PRECISIONS), ("batch_size", probing.BATCH_SIZES)):
        assert len(measured[field]["candidates"]) == len(values)
        [speeds] = measured[field]["rounds"]
        assert min(speeds) > 10


def without_tensorflow(task: object, send: Send) -> None:
    raise ImportError("libtensorflow is missing")


def test_a_probe_that_fails_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_take_turns", without_tensorflow)
    with pytest.raises(UserError, match=r"TensorFlow does not run here: .*tensorflow is.*; type rm -r \.venv, then"):
        measured_device(tmp_path, Console(plain=True))
    assert not list(tmp_path.glob("*.json"))


def test_a_gpu_that_is_required_and_missing_stops_before_anything_is_fitted(workspace: Path, digits: Digits) -> None:
    write_toy_files(workspace / "data" / "raw")
    shown = digits("train", "--require-gpu")
    assert shown.returncode == 2
    assert "error: REQUIRE_GPU is set, but TensorFlow finds no GPU" in shown.stderr
    assert not list((workspace / "runs").glob("cnn-*"))
    shown = digits("train")
    assert shown.returncode == 0
    assert "on the processor" in shown.stdout
