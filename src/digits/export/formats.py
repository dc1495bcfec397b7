"""Writes a model in several formats, and computes with the files that it has written."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from digits.export.pipelines import plain_pipeline, to_onnx

_BATCH = 100  # images that are computed together, for the memory
NETWORK_FORMATS = (".keras", ".onnx", ".tflite", "-float16.tflite")
Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # images (n, ...) to probabilities (n, classes)


def write_network(model: Any, path: Path) -> Predict | None:
    """Write a Keras model in the format that the end of the file's name says; returns what computes with the file.

    The model itself stands for its .keras file. None: the runtime of the format is not installed.
    """
    from digits.models.cnn.libraries import tf  # noqa: PLC0415 - scikit-learn's models do without it

    if path.suffix == ".keras":
        model.save(path)
        return lambda images: np.asarray(model.predict(images, verbose=0))
    if path.suffix == ".onnx":
        model.export(path, format="onnx", verbose=False)
        return _run_onnx(path)
    half = {"optimizations": [tf.lite.Optimize.DEFAULT], "target_spec": {"supported_types": [tf.float16]}}
    model.export(path, format="litert", verbose=False, **(half if "float16" in path.name else {}))
    return _run_litert(path)


def write_pipeline(fitted: Pipeline, stem: Path, pixels: int) -> dict[str, Predict | None]:
    """Write a scikit-learn pipeline as .skops and, where possible, as .onnx; what computes with each, by its ending.

    A pipeline that deskews needs this package, the others scikit-learn alone. pixels: values of an image.
    """
    plain = plain_pipeline(fitted, pixels)
    skops.io.dump(plain or fitted, f"{stem}.skops")
    found: dict[str, Predict | None] = {".skops": (plain or fitted).predict_proba}
    if plain is not None and (content := to_onnx(plain, pixels)):
        Path(f"{stem}.onnx").write_bytes(content)
        found[".onnx"] = _run_onnx(Path(f"{stem}.onnx"))
    return found


def _run_onnx(path: Path) -> Predict | None:
    if not find_spec("onnxruntime"):
        return None
    import onnxruntime  # noqa: PLC0415 - an optional package

    session = onnxruntime.InferenceSession(path)
    [source] = session.get_inputs()
    return lambda images: _in_batches(lambda batch: session.run(None, {source.name: batch})[-1], images)


def _run_litert(path: Path) -> Predict | None:
    if not find_spec("ai_edge_litert"):
        return None
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - an optional package

    run = Interpreter(str(path)).get_signature_runner()
    return lambda images: _in_batches(lambda batch: run(pixels=batch)["output_0"], images)


def _in_batches(run: Callable[[NDArray[np.float32]], Any], images: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([run(images[first : first + _BATCH]) for first in range(0, len(images), _BATCH)])
