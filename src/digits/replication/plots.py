"""Plots of the fitted recipes, each with its finding as the title."""

from collections.abc import Callable
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from digits.common.plots import Picture, draw_image, write_pictures
from digits.data.dataset import Dataset
from digits.replication.findings import Rows, ranks
from digits.replication.table import Row, table
from digits.replication.toy_examples import eight_rows_kept, linear_regression
from digits.replication.unit import split

_RATES = (0.001, 0.1, 10.0)  # learning rates of the regression on eight rows
_CLASSIFIER = "tips-xavier"  # classifies one image
_SEED = 42  # draws the image
_OUTSIDE: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}  # a legend that hides no curve


def draw_recipes(rows: Rows, data: Dataset, runs: Path, folder: Path) -> dict[str, Picture]:
    """Write the plots whose rows are all there, as PNG; returns them by name.

    data: the digits. runs: folder of the units.
    """
    pictures: dict[str, Callable[[], str | None]] = {
        "published": lambda: _published(rows),
        "race": lambda: _race(rows, "", "digits"),
        "race-fashion": lambda: _race(rows, "-fashion", "Fashion-MNIST"),
        "seeds": lambda: _seeds(rows),
        "rates": lambda: _learning_rates(rows),
        "steady": lambda: _steadying(rows),
        "overfitting": lambda: _overfitting(rows),
        "image": lambda: _one_image(rows, data),
        "eight-rows": lambda: _eight_rows(runs),
        "scaling": _scaling,
    }
    return write_pictures(folder, data.hash, pictures)


def _published(rows: Rows) -> str | None:
    board = table(rows.values())
    board = board[board["difference"].notna()]
    if board.empty:
        return None
    _, axes = plt.subplots(figsize=(9, 1 + 0.22 * len(board)))
    places, most = np.arange(len(board))[::-1], min(0.1, 1.1 * float(board["difference"].abs().max()) + 0.005)
    within = (board["within"] == "yes").to_numpy()
    axes.barh(places, 2 * board["tolerance"], left=-board["tolerance"], color="0.9", label="tolerance")
    for chosen, marker, label in ((within, "o", "within"), (~within, "X", "beyond")):
        sd = board["sd"].fillna(0)[chosen]
        axes.errorbar(board["difference"][chosen].clip(-most, most), places[chosen], xerr=sd, fmt=marker, label=label)
    axes.axvline(0, color="0.5", linewidth=1)
    axes.set_yticks(places, [f"{line.id} {line.figure}" for line in board.itertuples()], fontsize=7)
    axes.set(xlabel="measured accuracy minus published accuracy", xlim=(-most, most))
    axes.legend(loc="lower left")
    return f"{int(within.sum())} of {len(board)} published figures are met within their tolerance"


def _race(rows: Rows, suffix: str, data: str) -> str | None:
    fair = ranks(rows, f"fair{suffix}")
    if not fair:
        return None
    _, parts = plt.subplots(1, 2, figsize=(12, 4.5), sharey=True)
    for axes, prefix, title in zip(parts, ("opt", "fair"), ("weights handed on", "new weights"), strict=True):
        for optimizer in fair:
            if (row := rows.get(f"{prefix}{suffix}-{optimizer}")) is not None:
                _curve(axes, row, "valid_accuracy", optimizer)
        axes.set(title=title, xlabel="epoch", ylabel="accuracy on the test images")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True)
    parts[1].legend(**_OUTSIDE)
    return f"On {data}, from new weights, {fair[0]} is the best optimizer and {fair[-1]} the worst"


def _curve(axes: Axes, row: Row, figure: str, label: str) -> None:
    """The mean of a row's fits in each epoch in which all of them have the figure."""
    histories = [result["history"] for result in row.results if result["history"]]
    if not histories:
        return
    means = {
        number: float(np.mean([epoch[figure] for epoch in epochs]))
        for number, epochs in enumerate(zip(*histories, strict=False), 1)
        if all(figure in epoch for epoch in epochs)  # a fit that is about to diverge has no valid_accuracy
    }
    axes.plot([*means], [*means.values()], marker="o", markersize=3, label=label)


def _seeds(rows: Rows) -> str | None:
    names = [name for name in rows if name.startswith("first-deep") and not name.endswith("run-2")]
    if len(names) < 2 or max(len(rows[name].values("test")) for name in names) < 2:
        return None
    _, axes = plt.subplots(figsize=(8, 4))
    for place, name in enumerate(names):
        values = rows[name].values("test")
        axes.plot([place] * len(values), values, "o", alpha=0.7)
    axes.set_xticks(range(len(names)), [fill(rows[name].recipe.description, 26) for name in names], fontsize=8)
    axes.set(ylabel="accuracy, one point per seed", xlim=(-0.5, len(names) - 0.5))
    axes.grid(visible=True, axis="y")
    widest = max(names, key=lambda name: float(np.ptp(rows[name].values("test") or [0])))
    values = rows[widest].values("test")
    value_range = f"{min(values):.3f} to {max(values):.3f}"
    return f"The accuracy depends on the seed, from {value_range}: {rows[widest].recipe.description}"


def _learning_rates(rows: Rows) -> str | None:
    by_rate = {float(name.removeprefix("rate-")): rows[name] for name in rows if name.startswith("rate-")}
    if len(by_rate) < 2:
        return None
    _, axes = plt.subplots(figsize=(8, 4))
    means = {rate: row.mean(diverged=0.1) for rate, row in by_rate.items()}
    axes.plot([*means], [*means.values()], marker="o")
    for rate, row in by_rate.items():
        if not row.values("test"):
            axes.annotate("diverged", (rate, means[rate]), textcoords="offset points", xytext=(0, 8), ha="center")
    axes.set(xscale="log", xlabel="learning rate of SGD", ylabel="accuracy after five epochs")
    axes.grid(visible=True)
    return f"The best learning rate of SGD is {max(means, key=lambda rate: means[rate]):g}; too large a rate overshoots"


def _steadying(rows: Rows) -> str | None:
    steadied = [row for name, row in rows.items() if name.startswith("steady-")]
    if len(steadied) < 2:
        return None
    _, axes = plt.subplots(figsize=(10, 4.5))
    for row in steadied:
        diverged = any(result["diverged"] for result in row.results)
        _curve(axes, row, "loss", row.recipe.description + (", diverged" if diverged else ""))
    axes.set(xlabel="epoch", ylabel="training loss, nats", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=True)
    axes.legend(**_OUTSIDE)
    means = {row.recipe.description: row.mean() for row in steadied}
    best, worst = max(means, key=lambda name: means[name]), min(means, key=lambda name: means[name])
    return f"{best} is the most accurate, {means[best]:.3f}; {worst} is the least accurate, {means[worst]:.3f}"


def _overfitting(rows: Rows) -> str | None:
    names = [name for name in rows if name.startswith("overfit-")]
    if len(names) < 2:
        return None
    columns = 4
    _, parts = plt.subplots(-(-len(names) // columns), columns, figsize=(13, 6), sharey=True, squeeze=False)
    for axes, name in zip(parts.flat, names, strict=False):
        _curve(axes, rows[name], "accuracy", "training")
        _curve(axes, rows[name], "valid_accuracy", "test")
        gap = rows[name].mean("train") - rows[name].mean()
        axes.set(
            title=f"{rows[name].recipe.description}: gap {gap:.3f}", xlabel="epoch", ylabel="accuracy", ylim=(0, 1.02)
        )
        axes.grid(visible=True)
    for axes in parts.flat[len(names) :]:
        axes.set_axis_off()
    parts.flat[0].legend(loc="lower right")
    return "Overfitting: more images and regularisation bring training and test accuracy closer together"


def _one_image(rows: Rows, data: Dataset) -> str | None:
    if _CLASSIFIER not in rows or not rows[_CLASSIFIER].values("test"):
        return None
    row = rows[_CLASSIFIER]
    test = split(row.recipe, len(data.images))[1]
    drawn = int(np.random.default_rng(_SEED).integers(len(test)))
    probabilities = np.load(row.units[0].folder / "test.npy")[drawn].astype(float)
    image, label = data.shaped(data.images[test[drawn]])[0], data.labels[test[drawn]]
    _, (left, right) = plt.subplots(1, 2, figsize=(8, 3.5))
    draw_image(left, image)
    left.set_axis_off()
    right.bar(range(len(probabilities)), probabilities)
    right.set(xlabel="class", ylabel="probability", xticks=range(len(probabilities)), ylim=(0, 1))
    return f"An image of a {label}, predicted to be a {probabilities.argmax()}"


def _eight_rows(runs: Path) -> str:
    _, axes = plt.subplots(figsize=(8, 4))
    results = eight_rows_kept(runs, _RATES)
    for rate, (losses, _) in results.items():
        axes.plot(range(1, len(losses) + 1), losses, label=f"rate {rate}")
    axes.set(xlabel="epoch", ylabel="loss, nats", yscale="log")
    axes.grid(visible=True)
    axes.legend()
    accuracy = results["0.1"][1]
    return f"Eight rows: at a learning rate of 0.1 the accuracy on three new rows is {accuracy:.0%} after 200 epochs"


def _scaling() -> str:
    _, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    losses: dict[str, list[float]] = {}
    for axes, kind, label in (
        (left, "none", "not scaled"),
        (right, "minmax", "from 0 to 1"),
        (right, "standard", "mean 0, standard deviation 1"),
    ):
        losses[kind] = linear_regression(kind, seed=0)
        finite = [loss if np.isfinite(loss) else np.nan for loss in losses[kind]]
        axes.plot(range(1, len(finite) + 1), finite, marker="o", label=label)
    for axes in (left, right):
        axes.set(xlabel="epoch", ylabel="mean squared error", yscale="log", xlim=(0.5, 10.5))
        axes.yaxis.set_minor_formatter("{x:.3g}")
        axes.grid(visible=True)
        axes.legend(title="columns")
    change = f"{losses['minmax'][0]:.4f} to {losses['minmax'][-1]:.4f} (published: 1.5456 to 0.8204)"
    return f"Without scaling, linear regression diverges; with columns from 0 to 1 its error falls from {change}"
