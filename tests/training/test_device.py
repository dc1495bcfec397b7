"""What networks are trained with: the fastest here, found once, and said."""

import json
from pathlib import Path

import joblib
import pytest

from digits.common.console import Console
from digits.common.errors import UserError
from digits.config import Params
from digits.models.cnn import probe
from digits.training.device import Device, measured_device
from toys import Digits, write_toy_files

pytestmark = pytest.mark.slow


def measured(float32: float, *bfloat16: float) -> dict[str, object]:
    """As the probe prints it; the precision that won at 128 images is tried at 256 and 512 too."""
    others = dict(zip(("128", "256", "512"), bfloat16, strict=False))
    return {"gpus": 0, "device": "CPU", "images_per_second": {"float32": {"128": float32}, "mixed_bfloat16": others}}


def test_the_fastest_precision_and_the_smallest_batch_that_is_fast_enough_are_taken() -> None:
    found = Device.from_measurement(measured(1000, 2500, 2600, 2700), threads=2)
    assert (found.precision, found.batch_size, found.gain) == ("mixed_bfloat16", 128, 2.5)
    assert Device.from_measurement(measured(1000, 1400, 2900, 3000), threads=2).batch_size == 256
    assert Device.from_measurement(measured(1000, 1200, 1400, 3000), threads=2).batch_size == 512
    noisy = measured(3189, 5112, 5149, 6599)  # as a busy machine was seen
    assert Device.from_measurement(noisy, threads=2).batch_size == 128
    slow = {"float32": {"128": 1000, "256": 1010, "512": 990}, "mixed_bfloat16": {"128": 200}}
    found = Device.from_measurement({"gpus": 0, "device": "CPU", "images_per_second": slow}, threads=2)
    assert (found.precision, found.batch_size, found.gain) == ("float32", 128, 1.0)


def test_fits_beside_each_other_share_the_cores(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device("CPU", 0, "float32", 128, 6, 1.0)
    assert [device.resolve(params.train, beside).threads for beside in (1, 2, 4, 9)] == [6, 3, 1, 1]
    assert device.parallel_fits == min(2, joblib.cpu_count())
    three = Device("H100", 3, "float32", 128, 6, 1.0)
    assert three.parallel_fits == 3
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    one = Device("H100", 1, "float32", 128, 6, 1.0)
    assert (three.workers, one.workers, device.workers) == (["0", "1", "2"], ["0"], [None] * device.parallel_fits)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5,7")
    assert (three.workers, one.workers) == (["2", "5", "7"], ["2"])


def test_only_what_is_auto_is_settled(params: Params) -> None:
    device = Device("CPU", 0, "mixed_bfloat16", 256, 3, 2.0)
    settled = device.resolve(params.train)
    assert (settled.precision, settled.batch_size, settled.threads) == ("mixed_bfloat16", 256, 3)
    said = {"precision": "float32", "batch_size": 77, "threads": 1}
    own = params.train.model_copy(update=said)
    assert device.resolve(own) == own
    assert "mixed_bfloat16 (2.0 times as fast as float32 here), 256 images per step" in device.description(
        settled.model_dump()
    )
    assert "on CPU, 1 thread, in float32 (as params.yaml says), 77 images" in device.description(own.model_dump())
    assert "on 2 x H100" in Device("H100", 2, "mixed_bfloat16", 256, 3, 2.0).description(settled.model_dump())


def test_the_machine_is_measured_once(probed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("measured again"))
    first = measured_device(probed, Console(plain=True))
    assert measured_device(probed, Console(plain=True)) == first
    # another processor, or libraries for a GPU installed since then
    for name, other in (("processor", lambda: "another"), ("find_spec", lambda _: object())):
        with monkeypatch.context() as patch:
            patch.setattr(f"digits.training.device.{name}", other)
            with pytest.raises(pytest.fail.Exception, match="measured again"):
                measured_device(probed, Console(plain=True))


def test_the_probe_tries_every_precision_and_batch(tmp_path: Path) -> None:
    device = measured_device(tmp_path, Console(plain=True))
    assert device.gpus or device.name == "CPU"
    kept = json.loads(next(tmp_path.glob("*.json")).read_text())
    threads = {joblib.cpu_count(), joblib.cpu_count(only_physical_cores=True)}
    assert {int(count) for count in kept["measured"]} == threads
    assert kept["threads"] in threads
    for table in (each["images_per_second"] for each in kept["measured"].values()):
        assert set(table) == set(probe.PRECISIONS)
        assert sorted(len(sizes) for sizes in table.values()) == [1, len(probe.BATCH_SIZES)]
        assert all(speed > 10 for sizes in table.values() for speed in sizes.values())


def test_a_probe_that_fails_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("digits.training.device._PROBE", "digits.no_such_module")
    monkeypatch.setattr("digits.training.device.code_version", lambda *_: "any")
    with pytest.raises(UserError, match=r"TensorFlow does not run here: .*no_such_module.*; type rm -r \.venv, then"):
        measured_device(tmp_path, Console(plain=True))
    assert not list(tmp_path.glob("*.json"))


def test_a_gpu_that_is_required_and_missing_stops_before_anything_is_fitted(workspace: Path, digits: Digits) -> None:
    write_toy_files(workspace / "data" / "raw")
    shown = digits("train", "--require-gpu")
    assert shown.returncode == 2
    assert "error: REQUIRE_GPU is set, but TensorFlow sees no GPU here" in shown.stderr
    assert not list((workspace / "runs").glob("cnn-*"))
    shown = digits("train")
    assert shown.returncode == 0
    assert "training on CPU" in shown.stdout
    assert "in float32 (" in shown.stdout
