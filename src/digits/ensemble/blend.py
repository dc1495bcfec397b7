"""The finished blend: how it is made, what it is expected to score, its probabilities; and its pages for people."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits.common.files import atomic_folder, read_json, write_json
from digits.ensemble.combine import Combination
from digits.ensemble.selection import Candidate, Contribution, Member, Selection
from digits.evaluation.expected_score import Estimate, expected_score
from digits.evaluation.metrics import Accuracy, accuracy

PICTURE = "uncertain.png"


@dataclass(frozen=True)
class Blend:
    """Runs, how they are combined, and how good that is thought to be.

    method: of combining. weights: by run folder; of a stack, none. cv: accuracy of out-of-fold predictions, combined as
    the other folds would have it. holdout: accuracy on images that nothing was chosen on. expected: of the test
    images. candidates, members: how good they are.
    """

    name: str
    method: str
    weights: dict[str, float | None]
    cv: Accuracy
    holdout: Accuracy
    expected: Estimate
    candidates: list[Candidate]
    members: list[Contribution]


@dataclass(frozen=True)
class Blended:
    """Probabilities of a blend, (rows, classes) each."""

    oof: NDArray[np.floating]
    holdout: NDArray[np.floating]
    test: NDArray[np.floating]


def finished(
    name: str, selected: Selection, labels: NDArray[np.int64], holdout_labels: NDArray[np.int64]
) -> tuple[Blend, Blended]:
    """The blend that was selected. labels: of the members' rows. This is where the holdout is read."""
    members = selected.members
    holdout, test = (_averaged(selected.combination, members, part) for part in ("holdout", "test"))
    single = [
        selected.combination([member.holdout[model] for member in members]).argmax(axis=1) == holdout_labels
        for model in range(len(members[0].holdout))
    ]
    blend = Blend(
        name=name,
        method=selected.method,
        weights={contribution.member: contribution.weight for contribution in selected.contributions},
        cv=accuracy(selected.oof, labels),
        holdout=accuracy(holdout, holdout_labels),
        expected=expected_score(
            selected.oof.argmax(axis=1) == labels,
            np.array(single),
            holdout.argmax(axis=1) == holdout_labels,
            min(len(member.test) for member in members),
            len(test),
        ),
        candidates=selected.candidates,
        members=selected.contributions,
    )
    return blend, Blended(np.asarray(selected.oof), holdout, test)


def _averaged(combination: Combination, members: tuple[Member, ...], part: str) -> NDArray[np.float64]:
    """The members combined, each of them the mean of its models."""
    return combination([getattr(member, part).mean(axis=0, dtype=np.float64) for member in members])


def save_blend(runs: Path, blend: Blend, blended: Blended, picture: bytes) -> None:
    """Write the blend, its probabilities, and a PNG of the images that it is least sure of."""
    with atomic_folder(runs / blend.name) as folder:
        (folder / PICTURE).write_bytes(picture)
        np.savez(folder / "probabilities.npz", **asdict(blended))
        write_json(folder / "blend.json", asdict(blend))


def load_blend(runs: Path, name: str) -> Blend | None:
    """The blend called `name`, or None where it is not finished. Raises TypeError for one of another version."""
    content = read_json(runs / name / "blend.json")
    if content is None:
        return None
    parts = {part: Accuracy(**content[part]) for part in ("cv", "holdout")}
    tables = {
        "candidates": [Candidate(**row) for row in content["candidates"]],
        "members": [Contribution(**row) for row in content["members"]],
    }
    return Blend(**content | parts | tables | {"expected": Estimate(**content["expected"])})


def load_blended(runs: Path, blend: Blend) -> Blended:
    """Its probabilities."""
    with np.load(runs / blend.name / "probabilities.npz") as arrays:
        return Blended(**arrays)


def markdown(blend: Blend) -> str:
    """How the blend came about, for people."""
    candidates = [
        [
            f"**{found.name}**" if found.name == blend.method else found.name,
            f"{found.accuracy:.5f}",
            f"{found.gap:.5f} ({found.error:.5f})",
            f"{found.log_loss:.5f}",
            f"{found.loss_gap:.5f} ({found.loss_error:.5f})",
        ]
        for found in blend.candidates
    ]
    members = [
        [
            f"`{contribution.member}`",
            f"{contribution.accuracy:.5f}",
            f"{contribution.log_loss:.5f}",
            "" if contribution.weight is None else f"{contribution.weight:.0%}",
            "" if contribution.gain is None else f"{contribution.gain:+.5f} ({contribution.error:.5f})",
        ]
        for contribution in blend.members
    ]
    parts = [
        f"# The blend: {blend.method}" if len(members) > 1 else f"# One member {blend.method}",
        f"Expected score {blend.expected}: {blend.cv} out of fold, {blend.expected.gain:+.4f} for averaging the models "
        f"of the folds, which is measured on the holdout. The holdout itself: {blend.holdout}; for single models it is "
        f"{_holdout_z(blend.expected.holdout_z)}.",
        "## Ways to combine them",
        "Each is judged on folds that it was not fitted on; the first that is at most one standard error (in brackets) "
        "gap the most accurate is taken, in accuracy and in log loss once each has its best temperature.",
        _table(("method", "CV accuracy", "gap the best", "log loss", "gap it, calibrated"), candidates),
        "## Members",
        "Gain: of the blend with a member over the blend without it (standard error).",
        _table(("member", "CV accuracy alone", "log loss", "weight", "gain"), members),
    ]
    return "\n\n".join(parts) + "\n"


def _holdout_z(errors: float) -> str:
    word = "easier" if errors > 0 else "harder"
    unlike = "; so far apart they are not alike, see `make data` for repeated images" if abs(errors) > 3 else ""
    return f"{abs(errors):.1f} standard errors {word} than the folds{unlike}"


def _table(titles: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
