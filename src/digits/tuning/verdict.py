"""Whether a tuned model is taken: candidates compared with the default, in pairs of the same seed and fold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean

from digits.evaluation.metrics import Gain, gain_of_fits

DEFAULT = "default"  # name of the candidate without overrides
_FEWEST_PAIRS = 3  # from which an interval of the gain is computed


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
    candidate. text: the verdict in a sentence.
    """

    text: str
    winner: str | None = None
    gains: dict[str, Gain] = field(default_factory=dict)


def decide(accuracies: Accuracies, candidates: Sequence[str], search_fold: int) -> Verdict:
    """The verdict over `candidates`, the default first: the best one wins if its gain lies above noise."""
    gains = {name: value for name in candidates[1:] if (value := gain(accuracies, name, search_fold))}
    if not gains:
        return Verdict("nothing was confirmed to be better: the default stays")
    best = leader(accuracies, candidates)
    if best not in gains:
        text = f"{best} is not ahead of the default, or was not fitted often enough to tell: the default stays"
        return Verdict(text, gains=gains)
    won = gains[best].low > 0
    text = f"{best} gains {gains[best]} in accuracy over the default: " + (
        "taken" if won else "not above noise, so the default stays"
    )
    return Verdict(text, best if won else None, gains)


def leader(accuracies: Accuracies, candidates: Sequence[str]) -> str:
    """The candidate, other than the default, with the best mean over the folds from the first seed, which all share."""
    first = min(fit.seed for fit in accuracies)
    shared = {fit: value for fit, value in accuracies.items() if fit.seed == first}
    return max(candidates[1:], key=lambda candidate: mean_accuracy(shared, candidate))


def mean_accuracy(accuracies: Accuracies, candidate: str) -> float:
    """Over all its fits; 0 without any."""
    values = [value for fit, value in accuracies.items() if fit.candidate == candidate]
    return mean(values) if values else 0.0


def gain(accuracies: Accuracies, candidate: str, search_fold: int) -> Gain | None:
    """Gain in accuracy of a candidate over the default; None with fewer than three pairs.

    search_fold: the fold that trials were evaluated on. It flatters what was chosen there, and is left out. So is a
    pair whose default could not be fitted, which is no gain.
    """
    pairs = [
        (value, accuracies[default])
        for fit, value in sorted(accuracies.items())
        if fit.candidate == candidate
        and fit.fold != search_fold
        and accuracies.get(default := CandidateFit(fit.seed, fit.fold, DEFAULT))
    ]
    return gain_of_fits([new for new, _ in pairs], [old for _, old in pairs]) if len(pairs) >= _FEWEST_PAIRS else None
