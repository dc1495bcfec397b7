"""What the recipes show, in sentences that are computed from what was measured."""

from collections.abc import Mapping

import numpy as np

from digits.replication.table import Row

_RACERS = ("sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamax", "nadam")


def sentences(rows: Mapping[str, Row]) -> list[str]:
    """One for each thing to be shown of which all rows are there."""
    found = [_claim_raw(rows), _claim_epochs(rows), _blank(rows), _lottery(rows)]
    found += [_race(rows, "", "digits"), _race(rows, "-fashion", "Fashion-MNIST")]
    found += [_rates(rows), _steady(rows), _overfitting(rows)]
    return [sentence for sentence in found if sentence]


def ranks(rows: Mapping[str, Row], prefix: str) -> list[str]:
    """The optimizers of a race, best first, by the mean accuracy on the images kept aside; [] where one is missing."""
    names = [f"{prefix}-{racer}" for racer in _RACERS]
    if not _there(rows, *names):
        return []
    ordered = sorted(names, key=lambda name: -_mean(rows, name))
    return [name.removeprefix(f"{prefix}-") for name in ordered]


def _there(rows: Mapping[str, Row], *names: str) -> bool:
    return all(name in rows for name in names)


def _mean(rows: Mapping[str, Row], name: str, figure: str = "test") -> float:
    values = rows[name].values(figure)
    return float(np.mean(values)) if values else 0.0


def _claim_raw(rows: Mapping[str, Row]) -> str:
    names = ("claim-raw", "claim-raw-slow", "claim-normalised")
    if not _there(rows, *names):
        return ""
    raw, slow, normalised = (_mean(rows, name) for name in names)
    stalls = "True" if raw < normalised - 0.02 else "False"
    helps = (
        "and a lower rate helps less than normalising" if raw < slow < normalised else "but the rates rank otherwise"
    )
    return (
        f"Unnormalised pixels make Keras stall: {stalls} here, {raw:.4f} on raw pixels, {slow:.4f} with a tenth of the "
        f"rate, {normalised:.4f} on normalised ones; {helps}."
    )


def _claim_epochs(rows: Mapping[str, Row]) -> str:
    names = ("claim-normalised", "claim-sgd-10", "claim-sgd-30")
    if not _there(rows, *names):
        return ""
    adam, ten, thirty = (_mean(rows, name) for name in names)
    true = "True" if adam >= thirty - 0.002 else "False"
    shown = f"{adam:.4f} against {thirty:.4f} ({ten:.4f} after ten)"
    return f"Ten epochs of Adam reach what thirty of SGD do: {true}, {shown}."


def _blank(rows: Mapping[str, Row]) -> str:
    if not _there(rows, "cnn-b", "cnn-b-20"):
        return ""
    more = _mean(rows, "cnn-b-20") - _mean(rows, "cnn-b")
    return f"cnn-b for twenty epochs, left blank by its author, has {_mean(rows, 'cnn-b-20'):.4f}: {more:+.4f} to ten."


def _lottery(rows: Mapping[str, Row]) -> str:
    cures = {"first-deep-without": "without it", "first-deep-dropout": "dropout", "first-deep-he": "He's initialiser"}
    if not _there(rows, "first-deep-run-1", *cures):
        return ""

    def spread(name: str) -> str:
        values = rows[name].values("test")
        return f"{min(values):.4f} to {max(values):.4f}" if values else "diverged"

    parts = ", ".join(f"{words} {spread(name)}" for name, words in cures.items())
    first = rows["first-deep-run-1"].values("test")
    if len(first) < 2:
        return ""
    lottery = max(first) - min(first) > 0.02
    begin = "The relu before the softmax makes the seed a lottery" if lottery else "No seed was a bad one here"
    return f"{begin}: {spread('first-deep-run-1')} over its seeds; {parts}."


def _race(rows: Mapping[str, Row], suffix: str, what: str) -> str:
    handed, fair = ranks(rows, f"opt{suffix}"), ranks(rows, f"fair{suffix}")
    if not handed or not fair:
        return ""
    gain = _mean(rows, f"opt{suffix}-nadam") - _mean(rows, f"fair{suffix}-nadam")
    return (
        f"On {what}, one network handed on ranks {', '.join(handed)}; fresh weights rank {', '.join(fair)}. "
        f"Who comes late goes on with what others have learned: to the last that makes {gain:+.4f}."
    )


def _rates(rows: Mapping[str, Row]) -> str:
    found = {name.removeprefix("rate-"): _mean(rows, name) for name in rows if name.startswith("rate-")}
    if not found:
        return ""
    best = max(found, key=lambda rate: found[rate])
    shown = ", ".join(f"{rate}: {value:.3f}" if value else f"{rate}: diverged" for rate, value in found.items())
    return f"A rate that is too small hardly moves, one that is too large overshoots: {shown}; best at {best}."


def _steady(rows: Mapping[str, Row]) -> str:
    names = ("steady-plain", "steady-clip-norm", "steady-clip-value", "steady-batch-norm")
    if not _there(rows, *names):
        return ""
    shown = ", ".join(f"{rows[name].recipe.words} {_mean(rows, name):.3f}" for name in names)
    plain, *steady = (_mean(rows, name) for name in names)
    helped, momentum = sum(value > plain for value in steady), ""
    if _there(rows, "steady-momentum", "steady-slow"):
        momentum = (
            f" At 0.01, momentum brings {_mean(rows, 'steady-slow'):.3f} to {_mean(rows, 'steady-momentum'):.3f}."
        )
    return f"At a rate of 2, {helped} of 3 cures (clipping twice, normalisation) beat plain SGD: {shown}.{momentum}"


def _overfitting(rows: Mapping[str, Row]) -> str:
    names = [name for name in rows if name.startswith("overfit-")]
    if "overfit-1000" not in names:
        return ""

    def gap(name: str) -> str:
        return f"{rows[name].recipe.words} {_mean(rows, name, 'train') - _mean(rows, name):.3f}"

    return f"Accuracy on images learned from is above that on others by: {', '.join(map(gap, names))}."
