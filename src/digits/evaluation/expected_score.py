"""The expected score of a submission with its 95 % interval, from images that its models were not trained on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """Expected share of right predictions among the test images; the score lies within low to high in 95 % of cases.

    gain: of averaging models over single ones, part of `value`. holdout_z: the holdout's z-score, by how many standard
    errors single models are more accurate on the holdout than out of fold; beyond -3 to 3 the two are not alike.
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
    scored: int,
) -> Estimate:
    """The score expected on `scored` test images that are drawn like the labelled ones.

    oof_right: (n,), whether the single model of its fold predicts each image rightly. single_right: (models, h),
    whether each of these models is right on the holdout's images. blend_right: (h,), whether their average is.

    The accuracy of single models is that on all images that they have not seen, out of fold and of the holdout. To it
    comes the gain of averaging, measured on the holdout image by image. Where the test images are predicted by more
    models, `test_models`, the gain is scaled up: the part of the error that differs from model to model falls to
    1 / models (A. Krogh and J. Vedelsby, 1995, Neural network ensembles, NIPS 7, p. 231, equation 6). The gain of
    learning from more images is left out: no labelled image is left to measure it on.

    The variance has three parts: of the images out of fold, of those of the holdout, and of the test images, since a
    score counts a finite number of them. The interval is that of the beta distribution with this mean and variance,
    which stays below 1 and is skewed as errors are.
    """
    from scipy.stats import beta  # noqa: PLC0415 - takes time to load, which a finished blend does not need

    count, (models, held) = len(oof_right), single_right.shape
    single = single_right.mean(axis=0)
    scale = (1 - 1 / test_models) / (1 - 1 / models) if models > 1 else 1.0
    differences = (blend_right - single) * scale
    gain, out_of_fold, unseen = float(differences.mean()), float(oof_right.mean()), count + held
    # what each image of the holdout adds: to the accuracy of single models its share, and its gain
    added = single * held / unseen + differences
    # no error among n images is no proof of an error rate of 0: half an error is the least that is assumed
    least = 0.5 / (unseen + 1)
    mean = float(np.clip(out_of_fold * count / unseen + added.mean(), least, 1 - least))
    per_image = mean * (1 - mean)  # variance of whether an image is right
    variance = per_image * (count / unseen**2 + 1 / scored) + float(added.var()) / held
    concentration = max(per_image / variance - 1, 1e-6)  # a + b of the beta distribution
    low, high = beta.interval(_LEVEL, mean * concentration, (1 - mean) * concentration)
    error = np.sqrt(per_image / count + float(single.var()) / held)
    holdout_z = float((single.mean() - out_of_fold) / error) if error else 0.0
    # with very few images the distribution is so skewed that its mean may lie outside
    return Estimate(mean, min(float(low), mean), max(float(high), mean), gain, holdout_z)
