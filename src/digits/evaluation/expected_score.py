"""What a submission is expected to score, and within which bounds, from images that its models have not seen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """Expected share of right predictions among the test images; the score lies within low to high in 95 % of cases.

    gain: what averaging adds to single models, part of `value`. holdout_z: by how many standard errors the holdout is
    easier for single models than the images out of fold; beyond 3 either way the two are not alike.
    """

    value: float
    low: float
    high: float
    gain: float
    holdout_z: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


def expected_score(
    oof_right: NDArray[np.bool_],
    single_right: NDArray[np.bool_],
    blend_right: NDArray[np.bool_],
    test_models: int,
    test_count: int,
) -> Estimate:
    """The score that is expected on `test_count` images like the labelled ones.

    oof_right: (n,), whether each image is predicted rightly out of fold, by single models. single_right: (models, h),
    whether such models are right on the holdout's images; blend_right: (h,), whether their average is. So the accuracy
    out of fold is raised by what averaging is worth on the holdout, image by image; and where the test images are
    predicted by more models, test_models, by as much more as errors that differ from model to model fall, which is to
    1 / models of what they were (A. Krogh and J. Vedelsby, 1995, Neural network ensembles, NIPS 7, p. 231, equation 6).
    What learning from more images adds is not in it: no labelled image is left to measure it on.

    The variance has three parts: of the images out of fold, of the holdout's differences, and of the test images
    themselves, since a score is counted on so many and no more. The interval is that of the beta distribution with this
    mean and variance, which stays below 1 and is skewed as errors are.
    """
    from scipy.stats import beta  # noqa: PLC0415 - what is blended already need not wait for it

    count, (models, held) = len(oof_right), single_right.shape
    single = single_right.mean(axis=0)
    further = (1 - 1 / test_models) / (1 - 1 / models) if models > 1 else 1.0
    differences = (blend_right - single) * further
    gain = float(differences.mean())
    out_of_fold = float(oof_right.mean())
    # no image wrong does not mean that none ever is: half of one is the least that counts
    middle = float(np.clip(out_of_fold + gain, 0.5 / (count + 1), 1 - 0.5 / (count + 1)))
    spread = middle * (1 - middle)
    variance = spread * (1 / count + 1 / test_count) + float(differences.var()) / held
    strength = max(spread / variance - 1, 1e-6)
    low, high = beta.interval(_LEVEL, middle * strength, (1 - middle) * strength)
    noise = np.sqrt(spread / count + float(single.var()) / held)
    holdout_z = float((single.mean() - out_of_fold) / noise) if noise else 0.0
    # of very few images the distribution is so skewed that its mean may lie outside
    return Estimate(middle, min(float(low), middle), max(float(high), middle), gain, holdout_z)
