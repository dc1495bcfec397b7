"""The finished blend: its members, method, expected score and probabilities, and reports/ensemble.md about it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.common.markdown import table
from digits.common.sealed import read_json, sealed_folder, write_json
from digits.ensemble.combine import Probabilities
from digits.ensemble.selection import Candidate, Contribution, Selection
from digits.evaluation.expected_score import (
    Estimate,
    expected_score,
    expected_value,
    gain_of_averaging,
    loss_left,
)
from digits.evaluation.scoring import ACCURACY, LOG_LOSS, METRICS, Metric, Score

PICTURE, _ABOUT = "uncertain.png", "about.json"


@dataclass(frozen=True)
class Blend:
    """How runs are combined, and how good the result is.

    name: of its folder. method: of combining. metric: name of the competition's. cv: score of the cross-fitted
    out-of-fold predictions. holdout: score on images that nothing was chosen on. expected: score on the test images.
    candidates: the methods that were compared. contributions: one per member. units: names of the units that it is made
    of, by the member's folder. combination: see `combine.from_json`; its members are those of `units`, in this order.
    """

    name: str
    method: str
    metric: str
    cv: Score
    holdout: Score
    expected: Estimate
    candidates: list[Candidate]
    contributions: list[Contribution]
    units: dict[str, list[str]]
    combination: dict[str, Any]

    @property
    def weights(self) -> dict[str, float | None]:
        """Weight by the member's run folder; None in a stack."""
        return {each.name: each.weight for each in self.contributions}


@dataclass(frozen=True)
class BlendPredictions:
    """Probabilities: oof (n, classes) of the labelled images `rows` (n,); holdout (h, classes); test (m, classes)."""

    rows: NDArray[np.int64]
    oof: NDArray[np.floating]
    holdout: NDArray[np.floating]
    test: NDArray[np.floating]


def make_blend(
    name: str,
    selection: Selection,
    labels: NDArray[np.int64],
    holdout_labels: NDArray[np.int64],
    units: dict[str, list[str]],
    public_share: float = 1.0,
    metric: Metric = ACCURACY,
) -> tuple[Blend, BlendPredictions]:
    """The blend of a selection; labels: (n,), of the members' rows; holdout_labels: (h,); units: see `Members`.

    public_share: share of the test images that the score is computed on, above 0, at most 1. The holdout is read only
    here, after everything has been chosen.
    """
    members = selection.members

    def combined(of_members: Iterable[Probabilities]) -> NDArray[np.float64]:
        """The members combined, each as the mean of its models."""
        return selection.combination([models.mean(axis=0, dtype=np.float64) for models in of_members])

    holdout, test = combined(member.holdout for member in members), combined(member.test for member in members)
    folds = range(len(members[0].holdout))  # their models come first in `test`, too
    held, single = (
        np.stack([selection.combination([getattr(member, part)[fold] for member in members]) for fold in folds])
        for part in ("holdout", "test")
    )
    scored = max(1, round(public_share * len(test)))
    if metric is ACCURACY:
        gain = float(np.mean([gain_of_averaging(test, one) for one in single]))
        right = selection.oof.argmax(axis=1) == labels, held.argmax(axis=2) == holdout_labels
        expected = expected_score(*right, gain, scored)
    else:
        left = loss_left(metric, test, single)
        expected = expected_value(metric, selection.oof, held, labels, holdout_labels, left, scored)
    blend = Blend(
        name=name,
        method=selection.method,
        metric=metric.name,
        cv=metric.score(selection.oof, labels),
        holdout=metric.score(holdout, holdout_labels),
        expected=expected,
        candidates=selection.candidates,
        contributions=selection.contributions,
        units=units,
        combination=selection.combination.to_json(),
    )
    return blend, BlendPredictions(members[0].rows, np.asarray(selection.oof), holdout, test)


def save_blend(
    runs: Path, blend: Blend, predictions: BlendPredictions, picture: bytes, about: dict[str, Any] | None = None
) -> None:
    """Write the blend and its probabilities to the folder of its name below `runs`.

    picture: content of PICTURE. about: of the data set, see `Dataset`, so that the blend can predict without it.
    """
    with sealed_folder(runs / blend.name) as folder:
        (folder / PICTURE).write_bytes(picture)
        np.savez(folder / "probabilities.npz", **asdict(predictions))
        write_json(folder / _ABOUT, about or {})
        write_json(folder / "blend.json", asdict(blend))


def load_blend(runs: Path, name: str) -> Blend | None:
    """The blend called `name`; None if there is none. Raises TypeError if another version of the package made it."""
    content = read_json(runs / name / "blend.json")
    if content is None:
        return None
    parsed = {
        "cv": Score(**content["cv"]),
        "holdout": Score(**content["holdout"]),
        "expected": Estimate(**content["expected"]),
        "candidates": [Candidate(**row) for row in content["candidates"]],
        "contributions": [Contribution(**row) for row in content["contributions"]],
    }
    return Blend(**content | parsed)


def load_about(runs: Path, name: str) -> dict[str, Any]:
    """What `save_blend` was told about the data set."""
    return read_json(runs / name / _ABOUT) or {}


def load_predictions(runs: Path, blend: Blend) -> BlendPredictions:
    """The probabilities of a saved blend."""
    with np.load(runs / blend.name / "probabilities.npz") as arrays:
        return BlendPredictions(**arrays)


def markdown(blend: Blend) -> str:
    """The text of reports/ensemble.md: the expected score, the candidates, and what each member contributes."""
    metric = METRICS[blend.metric]
    title, losses, (first, second) = metric.title, metric is LOG_LOSS, metric.order
    candidates = [
        [
            f"**{candidate.name}**" if candidate.name == blend.method else candidate.name,
            f"{candidate.score:.5f}",
            f"{candidate.gap:.5f} ({candidate.error:.5f})",
            *(
                []
                if losses
                else [f"{candidate.log_loss:.5f}", f"{candidate.loss_gap:.5f} ({candidate.loss_error:.5f})"]
            ),
        ]
        for candidate in blend.candidates
    ]
    members = [
        [
            f"`{member.name}`",
            f"{member.score:.5f}",
            f"{member.accuracy if losses else member.log_loss:.5f}",
            "" if member.weight is None else f"{member.weight:.0%}",
            "" if member.gain is None else f"{member.gain:+.5f} ({member.error:.5f})",
        ]
        for member in blend.contributions
    ]
    parts = [
        f"# The blend: {blend.method}" if len(members) > 1 else f"# One member {blend.method}",
        f"Expected score: {blend.expected}{metric.unit}{metric.direction}, with its 95 % interval. It is the {title} "
        "of single models on labelled "
        f"images that they were not trained on, plus {blend.expected.gain:+.4f} for averaging them, estimated from the "
        "blend's probabilities for the test images. Those labelled images are predicted out of fold (OOF, by models "
        f"trained on the other folds) or belong to the holdout, on which nothing was chosen. The {title} of the blend "
        f"is {blend.cv} out of fold and {blend.holdout} on the holdout. For single models the holdout is "
        f"{_holdout_z(blend.expected.holdout_z)}.",
        "## Methods of combining the members",
        "Each method is scored on folds that it was not fitted on. The blend uses the first one (in bold) within one "
        f"standard error (in brackets) of the {_criteria(metric)} "
        f"(the mean of -log(probability of the true class)). The {title} out of fold above includes this choice, made "
        "for each fold on the others. TTA (test-time augmentation): the mean prediction for moved copies of an image.",
        table(
            (
                "method",
                f"CV {title}",
                "gap to the best",
                *([] if losses else ["log loss", "gap in log loss, calibrated"]),
            ),
            candidates,
        ),
        "## Members",
        f"Gain: {title} of the blend {first} the member minus its {title} {second} it (standard error in brackets).",
        table(("member", f"CV {title} alone", "accuracy" if losses else "log loss", "weight", "gain"), members),
    ]
    return "\n\n".join(parts) + "\n"


def _criteria(metric: Metric) -> str:
    """What the methods of combining are compared by."""
    if metric is LOG_LOSS:
        return "best, in log loss"
    best = "most accurate" if metric is ACCURACY else "best"
    return f"{best}, in {metric.title} and, after temperature scaling, in log loss"


def _holdout_z(z: float) -> str:
    word = "easier" if z > 0 else "harder"
    unlike = " (more than 3 is hardly chance; `make data` reports repeated images)" if abs(z) > 3 else ""
    return f"{abs(z):.1f} standard errors {word} than the folds{unlike}"
