"""TensorFlow in a process: its convolutions, its threads, and the memory that fits leave behind."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from digits.common.errors import UserError
from digits.common.processes import ProcessDiedError, Send, run_in_subprocess
from digits.config import load_params
from digits.models.cnn.quiet import quiet_import
from toy_networks import fit_toy
from toys import ROOT, TOY

pytestmark = pytest.mark.slow

_WARM_UP, _FITS = 4, 12
_NEW_PROCESS = """
import gc, json, re, sys
from pathlib import Path
from digits.models.cnn import libraries
from toy_networks import IMAGES, fit_validated
gc.freeze()  # collections skip the libraries
status, sizes = Path("/proc/self/status"), []
for seed in range(int(sys.argv[2])):
    fit_validated(json.loads(sys.argv[1]), seed).predict_proba(IMAGES)
    if status.exists():
        sizes.append(int(re.search(r"VmRSS:\\s+(\\d+)", status.read_text())[1]) / 1024)
print(json.dumps(sizes))
"""


@pytest.fixture(scope="module")
def new_process() -> tuple[str, list[float]]:
    """Of some fits in a new process: what oneDNN printed, and the resident size after each fit, in MB."""
    toy_spec = load_params(ROOT / "params.yaml", TOY).train.spec.model_dump(mode="json")
    toy_spec |= {"layers": "4C3 BN MP2 D0.2 8", "epochs": 1}
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    path = os.pathsep.join([str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])])
    shown = subprocess.run(
        [sys.executable, "-c", _NEW_PROCESS, json.dumps(toy_spec), str(_FITS)],
        env=environment | {"ONEDNN_VERBOSE": "1", "PYTHONPATH": path}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    verbose, sizes = shown.rstrip().rsplit("\n", 1)
    return verbose, json.loads(sizes)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the resident size is read from Linux' /proc")
def test_memory_does_not_grow_with_fits(new_process: tuple[str, list[float]]) -> None:
    """Less than 3.2 MB per fit: TensorFlow keeps about 2.4 MB, and a training step that is not freed 2 MB more."""
    sizes = new_process[1]
    assert len(sizes) == _FITS
    assert (sizes[-1] - sizes[_WARM_UP]) / (_FITS - 1 - _WARM_UP) < 3.2


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="others have libraries of their own")
def test_convolutions_are_those_of_onednn_on_every_processor(new_process: tuple[str, list[float]]) -> None:
    assert "exec,cpu,convolution," in new_process[0]


def test_fits_share_a_gpu_with_other_programs() -> None:
    """TensorFlow takes the memory that it needs, not all of it."""
    from digits.models.cnn import libraries  # noqa: F401

    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


def dies_while_it_is_loaded(text: str, send: Send) -> None:
    with quiet_import():
        os.write(2, text.encode())
        os.abort()


def test_what_the_import_says_is_seen_if_it_is_the_last() -> None:
    with pytest.raises(ProcessDiedError, match="SIGABRT: there is no AVX"):
        run_in_subprocess(dies_while_it_is_loaded, "there is no AVX\n", print, 600)


def test_what_the_import_says_is_not_seen_otherwise(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_import():
        os.write(2, b"a notice")
    assert capfd.readouterr().err == ""


def test_another_number_of_threads_in_the_same_process_is_refused(toy_spec: dict[str, Any]) -> None:
    fit_toy(toy_spec, epochs=1)
    with pytest.raises(UserError, match=r"train\.threads = 5, but TensorFlow already computes with another number"):
        fit_toy(toy_spec, threads=5)
