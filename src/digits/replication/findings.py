"""What the fitted recipes show, in sentences that are computed from their figures."""

from collections.abc import Callable, Mapping
from contextlib import suppress

from digits.replication.table import Row

OPTIMIZERS = ("sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamax", "nadam")

Rows = Mapping[str, Row]  # by id of the recipe


def sentences(rows: Rows) -> list[str]:
    """One sentence for each finding whose rows are all there."""
    findings: tuple[Callable[[Rows], str], ...] = (
        *(_raw_pixels, _epochs_of_adam, _twenty_epochs, _seeds),
        lambda rows: _race(rows, "", "digits"),
        lambda rows: _race(rows, "-fashion", "Fashion-MNIST"),
        *(_learning_rates, _steadying, _overfitting),
    )
    found = []
    for finding in findings:
        with suppress(KeyError):  # a row that it is about is missing
            found.append(finding(rows))
    return [sentence for sentence in found if sentence]


def ranks(rows: Rows, prefix: str) -> list[str]:
    """The optimizers of a race by their mean accuracy on the test images, the best first; [] if a row is missing."""
    accuracies = {name: rows[f"{prefix}-{name}"].mean() for name in OPTIMIZERS if f"{prefix}-{name}" in rows}
    complete = len(accuracies) == len(OPTIMIZERS)
    return sorted(accuracies, key=lambda name: -accuracies[name]) if complete else []


def _raw_pixels(rows: Rows) -> str:
    raw, slow, normalised = (rows[name].mean() for name in ("claim-raw", "claim-raw-slow", "claim-normalised"))
    stalls = "true" if raw < normalised - 0.02 else "false"
    order = "A lower rate helps less than normalising." if raw < slow < normalised else "The order differs here."
    return (
        f"The claim that a network stalls on unnormalised pixels is {stalls} here: the accuracy is {raw:.4f} on raw "
        f"pixels, {slow:.4f} with a tenth of the learning rate and {normalised:.4f} on normalised pixels. {order}"
    )


def _epochs_of_adam(rows: Rows) -> str:
    adam, ten, thirty = (rows[name].mean() for name in ("claim-normalised", "claim-sgd-10", "claim-sgd-30"))
    equal = "true" if adam >= thirty - 0.002 else "false"
    return (
        f"The claim that ten epochs of Adam are as accurate as thirty of SGD is {equal} here: the accuracies are "
        f"{adam:.4f} and {thirty:.4f}. After ten epochs SGD reaches {ten:.4f}."
    )


def _twenty_epochs(rows: Rows) -> str:
    ten, twenty = rows["cnn-b"].mean(), rows["cnn-b-20"].mean()
    return (
        f"The accuracy of cnn-b after twenty epochs, which its author left blank, is {twenty:.4f}; the difference to "
        f"ten epochs is {twenty - ten:+.4f}."
    )


def _seeds(rows: Rows) -> str:
    changes = {
        "first-deep-without": "without the relu",
        "first-deep-dropout": "with dropout",
        "first-deep-he": "with He's initialiser",
    }

    def value_range(name: str) -> str:
        values = rows[name].values("test")
        return f"{min(values):.4f} to {max(values):.4f}" if values else "diverged"

    values = rows["first-deep-run-1"].values("test")
    if len(values) < 2:
        return ""
    depends = "depends on the seed" if max(values) - min(values) > 0.02 else "hardly depends on the seed here"
    others = ", ".join(f"{value_range(name)} {change}" for name, change in changes.items())
    return f"With a relu before the softmax the accuracy {depends}: {value_range('first-deep-run-1')}. It is {others}."


def _race(rows: Rows, suffix: str, data: str) -> str:
    handed_on, fair = ranks(rows, f"opt{suffix}"), ranks(rows, f"fair{suffix}")
    if not handed_on or not fair:
        return ""
    last = OPTIMIZERS[-1]
    gain = rows[f"opt{suffix}-{last}"].mean() - rows[f"fair{suffix}-{last}"].mean()
    return (
        f"On {data}, from new weights, the best optimizer first: {', '.join(fair)}. If each continues with the weights "
        f"of the one before: {', '.join(handed_on)}. The later ones then start from what the others have learned; for "
        f"{last}, the last one, this makes a difference of {gain:+.4f}."
    )


def _learning_rates(rows: Rows) -> str:
    means = {name.removeprefix("rate-"): rows[name].mean() for name in rows if name.startswith("rate-")}
    if not means:
        return ""
    best = max(means, key=lambda rate: means[rate])
    values = ", ".join(f"{mean:.3f} at {rate}" if mean else f"diverged at {rate}" for rate, mean in means.items())
    return f"The best learning rate of SGD is {best}; smaller ones learn too slowly, larger ones overshoot: {values}."


def _steadying(rows: Rows) -> str:
    names = ("steady-plain", "steady-clip-norm", "steady-clip-value", "steady-batch-norm")
    plain, *others = (rows[name].mean() for name in names)
    better, momentum = sum(mean > plain for mean in others), ""
    values = ", ".join(f"{rows[name].recipe.description} {rows[name].mean():.3f}" for name in names)
    if {"steady-momentum", "steady-slow"} <= rows.keys():
        slow, fast = rows["steady-slow"].mean(), rows["steady-momentum"].mean()
        momentum = f" At a learning rate of 0.01 the accuracy is {slow:.3f} without momentum and {fast:.3f} with it."
    return (
        f"At a learning rate of 2, plain SGD is less accurate than {better} of 3 remedies (two kinds of gradient "
        f"clipping, and batch normalisation): {values}.{momentum}"
    )


def _overfitting(rows: Rows) -> str:
    names = [name for name in rows if name.startswith("overfit-")]
    if "overfit-1000" not in names:
        return ""

    def gap(name: str) -> str:
        return f"{rows[name].recipe.description} {rows[name].mean('train') - rows[name].mean():.3f}"

    return f"The gap between training and test accuracy is, by setting: {', '.join(map(gap, names))}."
