"""The expected score of a submission with its 95 % interval, from images that its models were not trained on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """Expected share of correct predictions on the test images; the score lies within low to high in 95 % of cases.

    gain: of averaging models over single ones, part of `value`. holdout_z: z-score of the holdout, by how many standard
    errors single models are more accurate on it than out of fold; outside -3 to 3 it is hardly chance.
    """

    value: float
    low: float
    high: float
    gain: float
    holdout_z: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


def gain_of_averaging(blend: NDArray[np.floating], single: NDArray[np.floating]) -> float:
    """Expected gain in accuracy of `blend` over `single`; (m, classes) probabilities of the same images.

    Where the two predict different classes, it is the difference of the probabilities that the blend gives to them. It
    needs no labels, so it can use all test images, even with a single fold; counting correct predictions on a few
    thousand labelled images has an error as large as the gain. A mean of calibrated models is underconfident
    (R. Rahaman and A. H. Thiery, 2021, Uncertainty quantification and deep ensembles, NeurIPS), so this estimate tends
    to be too low: seven tenths of the measured gain in docs/experiments/expected-score.md.
    """
    rows = np.arange(len(blend))
    return float((blend.max(axis=1) - blend[rows, single.argmax(axis=1)]).mean())


def expected_score(oof_right: NDArray[np.bool_], single_right: NDArray[np.bool_], gain: float, scored: int) -> Estimate:
    """The score expected on `scored` test images that are drawn like the labelled ones.

    oof_right: (n,), whether the single model of its fold predicts each image correctly. single_right: (models, h),
    whether each of these models is correct on the holdout's images. gain: of `gain_of_averaging`, on the test images.

    The accuracy of single models is measured on all images that they have not seen, out of fold and in the holdout. The
    gain of refits from training on more images is left out: no labelled image is left to measure it on.

    The variance has four sources: the out-of-fold images, the holdout's images, the test images, because a score counts
    a finite number of them, and the gain, which may be wrong by its own size. The interval is that of the beta
    distribution with this mean and variance; it stays below 1 and is skewed towards lower scores.
    """
    from scipy.stats import beta  # noqa: PLC0415 - takes time to load, which a finished blend does not need

    count, held = len(oof_right), single_right.shape[1]
    single, out_of_fold, unseen = single_right.mean(axis=0), float(oof_right.mean()), count + held
    # no error among n images does not prove an error rate of 0, so at least half an error is assumed
    least = 0.5 / (unseen + 1)
    accuracy = (out_of_fold * count + single.sum()) / unseen
    mean = float(np.clip(accuracy + gain, least, 1 - least))
    per_image = mean * (1 - mean)  # variance of whether an image is right
    variance = per_image * (count / unseen**2 + 1 / scored) + float(single.var()) * held / unseen**2 + gain**2
    concentration = max(per_image / variance - 1, 1e-6)  # a + b of the beta distribution
    low, high = beta.interval(_LEVEL, mean * concentration, (1 - mean) * concentration)
    error = np.sqrt(per_image / count + float(single.var()) / held)
    holdout_z = float((single.mean() - out_of_fold) / error) if error else 0.0
    # with very few images the distribution is so skewed that its mean may lie outside the interval
    return Estimate(mean, min(float(low), mean), max(float(high), mean), gain, holdout_z)
