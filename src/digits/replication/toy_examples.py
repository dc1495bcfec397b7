"""Two demonstrations on eight rows each, as the slides have them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.common.code_version import code_version
from digits.common.files import fingerprint, read_json, write_json
from digits.common.processes import Ask, run_in_subprocess
from digits.models import Setting, build
from digits.replication.recipe import base_model

EIGHT = np.array([[1, 2, 1], [1, 3, 2], [1, 3, 4], [1, 5, 5], [1, 7, 5], [1, 2, 5], [1, 6, 6], [1, 7, 7]], np.uint8)
EIGHT_CLASSES = np.array([2, 2, 2, 1, 1, 1, 0, 0])
ASKED = np.array([[2, 1, 1], [3, 1, 2], [3, 3, 4]], np.uint8)  # all of class 2
EPOCHS = 200
_LONGEST = 600.0  # seconds

# prices and volumes, the last column is to be predicted
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
    """`eight_rows` at each rate, by the rate as text; kept in `folder`, because it takes seconds."""
    path = folder / f"eight-rows-{fingerprint([*rates, base_model('cnn'), code_version('toy examples')])}.json"
    if (found := read_json(path)) is None:
        found = {}
        # apart, because a process that has fitted with another number of threads cannot go back
        run_in_subprocess(_tell_of_eight_rows, [*rates], found.update, _LONGEST)
        write_json(path, found)
    return {rate: (losses, right) for rate, (losses, right) in found.items()}


def _tell_of_eight_rows(rates: list[float], ask: Ask) -> None:
    for rate in rates:
        ask({f"{rate:g}": eight_rows(rate, seed=0)})


def eight_rows(rate: float, seed: int, threads: int = 1) -> tuple[list[float], float]:
    """Softmax regression of EIGHT by SGD: the loss after each epoch, and the share of ASKED that it gets right."""
    spec = base_model("cnn") | {
        "optimizer": {"name": "sgd", "momentum": 0.0, "nesterov": False},
        "learning_rate": rate,
        "epochs": EPOCHS,
        "batch_size": len(EIGHT),
        "threads": threads,
    }
    model: Any = build(spec, Setting((1, 3), 3, "none"), seed)
    model.fit(EIGHT, EIGHT_CLASSES)
    right = model.predict_proba(ASKED).argmax(axis=1) == 2
    return [epoch["loss"] for epoch in model.history_], float(right.mean())


def scaled(kind: str) -> NDArray[np.float32]:
    """PRICES as they are (none), from 0 to 1 in each column (minmax), or with mean 0 and deviation 1 (standard)."""
    if kind == "none":
        return PRICES
    if kind == "minmax":
        offset, scale = PRICES.min(axis=0), np.ptp(PRICES, axis=0)
    else:
        offset, scale = PRICES.mean(axis=0), PRICES.std(axis=0)
    return np.asarray((PRICES - offset) / scale, np.float32)


def linear_regression(kind: str, seed: int, rate: float = 0.01, epochs: int = 10) -> list[float]:
    """Mean squared error before each step of gradient descent on all rows, in float32, from Glorot's weights.

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
