"""Pictures of the study: each shows one thing, and says it in its title."""

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from digits.common.plots import Picture, write_pictures
from digits.data.dataset import Dataset
from digits.replication.findings import ranks
from digits.replication.table import Row, table
from digits.replication.toy_examples import eight_rows_kept, linear_regression
from digits.replication.unit import split

_RATES = (0.001, 0.1, 10.0)  # of the regression of eight rows
_ONE = "tips-xavier"  # whose opinion of one image is shown
_SEED = 42  # of the image
_BESIDE: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}  # where a legend hides no curve


def draw_study(rows: Mapping[str, Row], data: Dataset, runs: Path, folder: Path) -> dict[str, Picture]:
    """Write, as PNG, the pictures of which all rows are there; returns them by name.

    data: the digits. runs: where the study's fits are kept.
    """
    pictures: dict[str, Callable[[], str | None]] = {
        "published": lambda: _published(rows),
        "race": lambda: _race(rows, "", "digits"),
        "race-fashion": lambda: _race(rows, "-fashion", "Fashion-MNIST"),
        "lottery": lambda: _lottery(rows),
        "rates": lambda: _rates(rows),
        "steady": lambda: _steady(rows),
        "overfitting": lambda: _overfitting(rows),
        "image": lambda: _one_image(rows, data),
        "eight-rows": lambda: _eight_rows(runs),
        "scaling": _scaling,
    }
    return write_pictures(folder, data.hash, pictures)


def _published(rows: Mapping[str, Row]) -> str | None:
    board = table(rows.values())
    board = board[board["difference"].notna()]
    if board.empty:
        return None
    _, axes = plt.subplots(figsize=(9, 1 + 0.22 * len(board)))
    places, limits = np.arange(len(board))[::-1], _limits(board["difference"].to_numpy())
    within = (board["within"] == "yes").to_numpy()
    axes.barh(places, 2 * board["tolerance"], left=-board["tolerance"], color="0.9", label="tolerance")
    for chosen, marker, label in ((within, "o", "within"), (~within, "X", "beyond")):
        spread = board["sd"].fillna(0)[chosen]
        axes.errorbar(board["difference"][chosen].clip(*limits), places[chosen], xerr=spread, fmt=marker, label=label)
    axes.axvline(0, color="0.5", linewidth=1)
    axes.set_yticks(places, [f"{line.id} {line.figure}" for line in board.itertuples()], fontsize=7)
    axes.set(xlabel="accuracy measured here less the published one", xlim=limits)
    axes.legend(loc="lower left")
    return f"{int(within.sum())} of {len(board)} published figures are met within their tolerance"


def _limits(differences: np.ndarray) -> tuple[float, float]:
    most = min(0.1, 1.1 * float(np.abs(differences).max()) + 0.005)
    return -most, most


def _race(rows: Mapping[str, Row], suffix: str, what: str) -> str | None:
    fair = ranks(rows, f"fair{suffix}")
    if not fair:
        return None
    _, parts = plt.subplots(1, 2, figsize=(12, 4.5), sharey=True)
    for axes, prefix, title in zip(parts, ("opt", "fair"), ("one network handed on", "fresh weights"), strict=True):
        for racer in fair:
            if (row := rows.get(f"{prefix}{suffix}-{racer}")) is not None:
                _curve(axes, row, "valid_accuracy", racer)
        axes.set(title=title, xlabel="epoch", ylabel="accuracy on images kept aside")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True)
    parts[1].legend(**_BESIDE)
    return f"On {what}, {fair[0]} comes first and {fair[-1]} last from fresh weights"


def _curve(axes: Axes, row: Row, figure: str, label: str) -> None:
    """The mean over a row's fits, epoch by epoch, where they were looked at."""
    histories = [result["history"] for result in row.results if result["history"]]
    if not histories:
        return
    shortest = min(map(len, histories))
    epochs = [number for number, epoch in enumerate(histories[0][:shortest], 1) if figure in epoch]
    values = [[history[epoch - 1][figure] for history in histories] for epoch in epochs]
    axes.plot(epochs, [float(np.mean(each)) for each in values], marker="o", markersize=3, label=label)


def _lottery(rows: Mapping[str, Row]) -> str | None:
    names = [name for name in rows if name.startswith("first-deep") and not name.endswith("run-2")]
    if len(names) < 2 or max(len(rows[name].values("test")) for name in names) < 2:
        return None
    _, axes = plt.subplots(figsize=(8, 4))
    for place, name in enumerate(names):
        values = rows[name].values("test")
        axes.plot([place] * len(values), values, "o", alpha=0.7)
    axes.set_xticks(range(len(names)), [fill(rows[name].recipe.words, 26) for name in names], fontsize=8)
    axes.set(ylabel="accuracy, one point per seed", xlim=(-0.5, len(names) - 0.5))
    axes.grid(visible=True, axis="y")
    widest = max(names, key=lambda name: float(np.ptp(rows[name].values("test") or [0])))
    values = rows[widest].values("test")
    return f"From {min(values):.3f} to {max(values):.3f} by the seed alone: {rows[widest].recipe.words}"


def _rates(rows: Mapping[str, Row]) -> str | None:
    found = {float(name.removeprefix("rate-")): rows[name] for name in rows if name.startswith("rate-")}
    if len(found) < 2:
        return None
    _, axes = plt.subplots(figsize=(8, 4))
    means = {rate: float(np.mean(row.values("test") or [0.1])) for rate, row in found.items()}
    axes.plot([*means], [*means.values()], marker="o")
    for rate, row in found.items():
        if not row.values("test"):
            axes.annotate("diverged", (rate, means[rate]), textcoords="offset points", xytext=(0, 8), ha="center")
    axes.set(xscale="log", xlabel="learning rate of SGD", ylabel="accuracy after five epochs")
    axes.grid(visible=True)
    return f"Too small hardly moves, too large overshoots: best at {max(means, key=lambda rate: means[rate]):g}"


def _steady(rows: Mapping[str, Row]) -> str | None:
    found = {name: row for name, row in rows.items() if name.startswith("steady-")}
    if len(found) < 2:
        return None
    _, axes = plt.subplots(figsize=(10, 4.5))
    for row in found.values():
        diverged = any(result["diverged"] for result in row.results)
        _curve(axes, row, "loss", row.recipe.words + (", diverged" if diverged else ""))
    axes.set(xlabel="epoch", ylabel="loss on images learned from, nats", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=True)
    axes.legend(**_BESIDE)
    means = {row.recipe.words: float(np.mean(row.values("test") or [0])) for row in found.values()}
    best, worst = max(means, key=lambda words: means[words]), min(means, key=lambda words: means[words])
    return f"What keeps a high rate steady: {best} ends at {means[best]:.3f}, {worst} at {means[worst]:.3f}"


def _overfitting(rows: Mapping[str, Row]) -> str | None:
    names = [name for name in rows if name.startswith("overfit-")]
    if len(names) < 2:
        return None
    columns = 4
    _, parts = plt.subplots(-(-len(names) // columns), columns, figsize=(13, 6), sharey=True, squeeze=False)
    for axes, name in zip(parts.flat, names, strict=False):
        _curve(axes, rows[name], "accuracy", "learned from")
        _curve(axes, rows[name], "valid_accuracy", "kept aside")
        gap = float(np.mean(rows[name].values("train") or [0]) - np.mean(rows[name].values("test") or [0]))
        axes.set(title=f"{rows[name].recipe.words}: {gap:.3f} apart", xlabel="epoch", ylabel="accuracy", ylim=(0, 1.02))
        axes.grid(visible=True)
    for axes in parts.flat[len(names) :]:
        axes.set_axis_off()
    parts.flat[0].legend(loc="lower right")
    return "What is learned by heart is not known: most of all, more images bring the two curves together"


def _one_image(rows: Mapping[str, Row], data: Dataset) -> str | None:
    if _ONE not in rows or not rows[_ONE].values("test"):
        return None
    row = rows[_ONE]
    kept = split(row.recipe, len(data.images))[1]
    chosen = int(np.random.default_rng(_SEED).integers(len(kept)))
    probabilities = np.load(row.units[0].folder / "test.npy")[chosen].astype(float)
    _, (left, right) = plt.subplots(1, 2, figsize=(8, 3.5))
    left.imshow(np.asarray(data.images[kept[chosen]]).reshape(data.image_shape), cmap="gray_r")
    left.set_axis_off()
    right.bar(range(len(probabilities)), probabilities)
    right.set(xlabel="class", ylabel="probability", xticks=range(len(probabilities)), ylim=(0, 1))
    return f"An image of a {data.labels[kept[chosen]]}, taken for a {probabilities.argmax()}"


def _eight_rows(runs: Path) -> str:
    _, axes = plt.subplots(figsize=(8, 4))
    found = eight_rows_kept(runs, _RATES)
    for rate, (losses, _) in found.items():
        axes.plot(range(1, len(losses) + 1), losses, label=f"rate {rate}")
    axes.set(xlabel="epoch", ylabel="loss, nats", yscale="log")
    axes.grid(visible=True)
    axes.legend()
    return f"Eight rows: at a rate of 0.1, {found['0.1'][1]:.0%} of three new rows are right after 200 epochs"


def _scaling() -> str:
    _, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    found: dict[str, list[float]] = {}
    for axes, kind, words in (
        (left, "none", "as they are"),
        (right, "minmax", "from 0 to 1"),
        (right, "standard", "mean 0, deviation 1"),
    ):
        losses = found[kind] = linear_regression(kind, seed=0)
        shown = [loss if np.isfinite(loss) else np.nan for loss in losses]
        axes.plot(range(1, len(losses) + 1), shown, marker="o", label=words)
    for axes in (left, right):
        axes.set(xlabel="epoch", ylabel="mean squared error", yscale="log", xlim=(0.5, 10.5))
        axes.yaxis.set_minor_formatter("{x:.3g}")
        axes.grid(visible=True)
        axes.legend(title="columns")
    scaled = f"{found['minmax'][0]:.4f} to {found['minmax'][-1]:.4f} (published: 1.5456 to 0.8204)"
    return f"Without scaling linear regression diverges; with columns from 0 to 1 its error falls from {scaled}"
