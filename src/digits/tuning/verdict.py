"""Decides whether a tuned model is taken: the finalist that is picked on one fold is judged on the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import mean

from digits.evaluation.metrics import Gain, gain_of_folds

SEARCH_FOLD = 0  # trials are evaluated on it, and the leader is picked on it; gains are computed from the others
LEVEL = 0.05  # largest probability that a search has a winner if all models are as good as the default


@dataclass(frozen=True, order=True)
class CandidateFit:
    """One fit of the confirmation."""

    seed: int
    fold: int
    candidate: str


Accuracies = Mapping[CandidateFit, float]  # 0 for what could not be fitted


@dataclass(frozen=True)
class Verdict:
    """The result of a confirmation.

    winner: name of the candidate that replaces the default; None: the default stays. gains: over the default, by
    candidate. level: probability that a gain lies below its interval, and also that it lies above it. text: the verdict
    in a sentence.
    """

    text: str
    winner: str | None = None
    gains: dict[str, Gain] = field(default_factory=dict)
    level: float = LEVEL


def decide(accuracies: Accuracies, default: str, folds: int) -> Verdict:
    """The verdict over all candidates that were judged: the one that gains most wins if its gain is above noise.

    A leader is picked on the search fold, as the finalists are. If it is ahead of the default there, it is judged on
    the other folds by fits from other seeds. So neither the images nor the seeds that made it the leader count in its
    favour, however many finalists there are. If several were judged, as in a search that had time for it, they share
    LEVEL (C. E. Bonferroni, 1936).
    default: name of the model that the others are compared with.
    """
    judged = sorted({fit.candidate for fit in accuracies if fit.fold != SEARCH_FOLD} - {default})
    level = LEVEL / max(1, len(judged))
    gains = {name: value for name in judged if (value := gain(accuracies, name, default, folds, level))}
    if not gains:
        picked = {fit.candidate for fit in accuracies if fit.fold == SEARCH_FOLD}
        behind = default in picked and len(picked) > 1 and leader(accuracies, [default, *picked]) == default
        text = f"No finalist is better than {default} on the search fold"
        if not behind:
            text = f"No other model was compared with {default} on two folds"
        return Verdict(f"{text}: {default} stays.", None, gains, level)
    best = max(gains, key=lambda name: (gains[name].low > 0, gains[name].mean))
    won = gains[best].low > 0
    errors = 1 - mean_accuracy(accuracies, default, judged=True)
    fewer = gains[best].mean / errors if errors else 0.0
    text = f"{best} makes {abs(fewer):.1%} {'fewer' if fewer >= 0 else 'more'} errors than {default} in the same time: "
    text += f"accuracy {gains[best]}. " + ("It is taken." if won else f"This is not above noise, so {default} stays.")
    return Verdict(text, best if won else None, gains, level)


def leader(accuracies: Accuracies, candidates: Sequence[str]) -> str:
    """The candidate with the best mean accuracy on the search fold; the default, which is first, if none is better."""
    return max(candidates, key=lambda name: mean_accuracy(accuracies, name, judged=False))


def mean_accuracy(accuracies: Accuracies, candidate: str, judged: bool) -> float:
    """Mean accuracy of a candidate on the folds that it is judged on, or on the search fold; 0 without any fit.

    Each fold counts once, however many fits of it there are.
    """
    of_folds: dict[int, list[float]] = {}
    for fit, value in accuracies.items():
        if fit.candidate == candidate and (fit.fold != SEARCH_FOLD) == judged:
            of_folds.setdefault(fit.fold, []).append(value)
    return mean([*map(mean, of_folds.values())] or [0.0])


def gain(accuracies: Accuracies, candidate: str, default: str, folds: int, level: float = LEVEL) -> Gain | None:
    """Gain in accuracy of a candidate over `default`; None with fewer than two folds.

    folds: number of all folds. level: as in digits.evaluation.metrics.gain_of_folds. Fits are compared in pairs with
    the same seed and fold. A pair whose default could not be fitted is left out.
    """
    pairs: dict[int, list[float]] = {}
    for fit, value in accuracies.items():
        other = accuracies.get(replace(fit, candidate=default))
        if fit.candidate == candidate and fit.fold != SEARCH_FOLD and other:
            pairs.setdefault(fit.fold, []).append(value - other)
    return gain_of_folds([*map(mean, pairs.values())], 1 / (folds - 1), level) if len(pairs) > 1 else None
