"""Two demonstrations of the lecture slides, on eight rows each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.common.code_version import code_version
from digits.common.files import fingerprint
from digits.common.processes import Send, run_in_subprocess
from digits.common.sealed import read_or_make
from digits.models import FAMILIES, TaskSpec, build
from digits.replication.recipe import base_model

EIGHT = np.array([[1, 2, 1], [1, 3, 2], [1, 3, 4], [1, 5, 5], [1, 7, 5], [1, 2, 5], [1, 6, 6], [1, 7, 7]], np.uint8)
EIGHT_CLASSES = np.array([2, 2, 2, 1, 1, 1, 0, 0])
NEW_ROWS = np.array([[2, 1, 1], [3, 1, 2], [3, 3, 4]], np.uint8)  # all of class 2
EPOCHS = 200
_TIMEOUT = 600.0  # seconds

# prices and volumes of a share; the last column is predicted
PRICES = np.array(
    [
        [828.659973, 833.450012, 908100, 828.349976, 831.659973],
        [823.02002, 828.070007, 1828100, 821.655029, 828.070007],
        [819.929993, 824.400024, 1438100, 818.97998, 824.159973],
        [816, 820.958984, 1008100, 815.48999, 819.23999],
        [819.359985, 823, 1188100, 818.469971, 818.97998],
        [819, 823, 1198100, 816, 820.450012],
        [811.700012, 815.25, 1098100, 809.780029, 813.669983],
        [809.51001, 816.659973, 1398100, 804.539978, 809.559998],
    ],
    np.float32,
)


def eight_rows_kept(folder: Path, rates: Sequence[float]) -> dict[str, tuple[list[float], float]]:
    """`eight_rows` at each learning rate, by the rate as text; saved in `folder`, because the fits take seconds."""
    path = folder / f"eight-rows-{fingerprint([*rates, base_model('cnn'), code_version('toy examples')])}.json"

    def fit() -> dict[str, tuple[list[float], float]]:
        results: dict[str, tuple[list[float], float]] = {}
        # in a subprocess, because TensorFlow cannot change its number of threads once it has computed
        run_in_subprocess(_fit_eight_rows, [*rates], results.update, _TIMEOUT, [FAMILIES["cnn"]])
        return results

    return {rate: (losses, accuracy) for rate, (losses, accuracy) in read_or_make(path, fit).items()}


def _fit_eight_rows(rates: list[float], report: Send) -> None:
    for rate in rates:
        report({f"{rate:g}": eight_rows(rate, seed=0)})


def eight_rows(rate: float, seed: int, threads: int = 1) -> tuple[list[float], float]:
    """Softmax regression of EIGHT by SGD: the loss in each epoch (nats), and the accuracy on NEW_ROWS."""
    spec = base_model("cnn") | {
        "optimizer": {"name": "sgd", "momentum": 0.0, "nesterov": False},
        "learning_rate": rate,
        "epochs": EPOCHS,
        "batch_size": len(EIGHT),
        "threads": threads,
    }
    model: Any = build(spec, TaskSpec((1, 3), 3, "none"), seed)
    model.fit(EIGHT, EIGHT_CLASSES)
    right = model.predict_proba(NEW_ROWS).argmax(axis=1) == 2
    return [epoch["loss"] for epoch in model.history_], float(right.mean())


def scaled(kind: str) -> NDArray[np.float32]:
    """PRICES, (8, 5). kind: none; minmax, each column from 0 to 1; standard, with mean 0 and standard deviation 1."""
    if kind == "none":
        return PRICES
    if kind == "minmax":
        offset, scale = PRICES.min(axis=0), np.ptp(PRICES, axis=0)
    else:
        offset, scale = PRICES.mean(axis=0), PRICES.std(axis=0)
    return np.asarray((PRICES - offset) / scale, np.float32)


def linear_regression(kind: str, seed: int, rate: float = 0.01, epochs: int = 10) -> list[float]:
    """Mean squared error before each step of gradient descent on all rows, in float32, from Glorot's initial weights.

    kind: of scaling, as in `scaled`.

    X. Glorot and Y. Bengio (2010), Understanding the difficulty of training deep networks, AISTATS, equation 16.
    """
    rows = scaled(kind)
    X, y = rows[:, :-1], rows[:, -1]
    limit = np.sqrt(6 / (X.shape[1] + 1))
    weights = np.random.default_rng(seed).uniform(-limit, limit, X.shape[1]).astype(np.float32)
    bias, losses = np.float32(0), list[float]()
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(epochs):
            error = X @ weights + bias - y
            losses.append(float((error**2).mean()))
            weights -= np.float32(rate) * 2 * (X.T @ error) / np.float32(len(y))
            bias -= np.float32(rate) * 2 * error.mean()
    return losses
