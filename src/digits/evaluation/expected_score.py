"""The expected score of a submission with its 95 % interval, from images that its models were not trained on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits.evaluation.scoring import Metric

_LEVEL = 0.95
_Z = 1.959964  # standard errors on either side of such an interval


@dataclass(frozen=True)
class Estimate:
    """Expected score on the test images; the score lies within low to high in 95 % of cases.

    gain: what averaging models adds to `value`; below 0 for a log loss. holdout_z: z-score of the holdout, by how many
    standard errors single models are better on it than out of fold; outside -3 to 3 it is hardly chance.
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


def loss_left(metric: Metric, blend: NDArray[np.floating], singles: NDArray[np.floating]) -> float:
    """Loss of the blend as a share of its single models' loss, as the blend expects.

    blend: (m, classes). singles: (models, m, classes), of the same images, whose labels need not be known. On the real
    digits it expected 0.93 and 0.92 where four fits left 0.92 and 0.89 of the log loss (docs/experiments/metrics.md).
    Loss: the log loss, or what is missing from a macro F1 of 1.
    """
    alone = np.mean([metric.loss(float(metric.contributions(single, blend).mean())) for single in singles])
    return float(metric.loss(float(metric.contributions(blend, blend).mean())) / alone)


def expected_value(
    metric: Metric,
    oof: NDArray[np.floating],
    held: NDArray[np.floating],
    labels: NDArray[np.int64],
    held_labels: NDArray[np.int64],
    left: float,
    scored: int,
) -> Estimate:
    """The score expected by another metric than the accuracy: as `expected_score`, but with a share in place of a gain.

    oof: (n, classes) probabilities out of fold; held: (models, h, classes), of the holdout's images; labels: (n,);
    held_labels: (h,). left: share of the single models' loss that averaging leaves, see `loss_left`. scored: images.

    The interval is symmetric for the logarithm of the loss, of which averaging takes a share. The variance of losses is
    taken to be proportional to their mean. The logarithm of `left` may be wrong by its own size; for a log loss, to
    which every image contributes, by half of it. The interval knows only losses like those that were seen.
    """
    unseen, count = np.concatenate([labels, held_labels]), len(labels)
    each = np.stack([metric.of(np.concatenate([oof, one]), unseen) for one in held])
    mean = each.mean(axis=0)
    single = max(metric.loss(float(mean.mean())), 0.5 / (len(mean) + 1))  # no error does not prove an error rate of 0
    loss = left * single
    measured = metric.spread(mean, unseen) / len(mean) / single**2
    drawn = metric.spread(each[0], unseen) * left / scored / loss**2
    width = _Z * np.sqrt(np.log1p(measured + drawn) + (np.log(left) / (1 if metric.sign > 0 else 2)) ** 2)
    least, most = loss * np.exp(-width), loss * np.exp(width)
    if metric.sign > 0:  # a share of one error does not occur, and the loss is at most 1
        least, most = least if least * scored >= 1 else 0.0, min(most, 1.0)
    ends = metric.loss(float(least)), metric.loss(float(most))
    value = metric.loss(float(loss))
    error = np.sqrt(mean[:count].var() / count + mean[count:].var() / (len(mean) - count))
    difference = metric.sign * (mean[count:].mean() - mean[:count].mean())
    holdout_z = float(difference / error) if error else 0.0
    return Estimate(value, min(ends), max(ends), value - metric.loss(single), holdout_z)
