"""Calibration metrics, temperature scaling and the choice of a decision threshold.

Shapes: N images, K classes; labels are class indices; weights are the number of images an entry stands for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import binomtest

from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.metrics.scores import MANY_IMAGES

_LEAST_IN_BIN = 10
BINS = 15  # as Guo et al., arXiv:1706.04599
_TEMPERATURES = (0.05, 20.0)


def reliability_table(
    labels: ArrayLike, probs: ArrayLike, weights: ArrayLike | None = None, *, bins: int = BINS
) -> list[dict[str, float]]:
    """The non-empty bins of the reliability diagram, by the probability of the most probable class.

    Args:
        labels: `[N]` int, 0 to K - 1.
        probs: `[N, K]` float; the most probable class counts as predicted, regardless of the decision threshold.
        weights: `[N]`, images per entry; None for one each.

    Returns:
        Per bin of probabilities in (low, high]: `low`, `high`, `count` of images, mean `confidence` and `accuracy`.
    """
    count, confident, correct = _binned(labels, probs, weights, bins)
    return [
        {
            "low": b / bins,
            "high": (b + 1) / bins,
            "count": int(count[b]),
            "confidence": float(confident[b] / count[b]),
            "accuracy": float(correct[b] / count[b]),
        }
        for b in np.flatnonzero(count).tolist()
    ]


def quantile_bins(
    predicted: ArrayLike, happened: ArrayLike, weights: ArrayLike | None = None, *, bins: int = 10
) -> list[dict[str, float]]:
    """Predicted probability and observed share in bins of about equal counts, with Wilson 95 % intervals of the share.

    Equal probabilities are never in two bins, and a bin has 10 images on average at least, so there may be fewer bins.
    The intervals (Wilson, J. Am. Stat. Assoc. 22:209, 1927) take images for independent, which those of one patient are
    not.

    Args:
        predicted: `[N]` float, probability of what may happen.
        happened: `[N]` bool.
        weights: `[N]`, images per entry; None for one each.

    Returns:
        Per bin: `low` and `high` (of `predicted`), `count`, mean `predicted`, `observed` share, `observed_low` and
        `observed_high`.
    """
    p, y = np.asarray(predicted, dtype=np.float64), np.asarray(happened, dtype=bool)
    w = _weights(weights, len(p))
    if not w.sum():
        return []
    if len(p) > MANY_IMAGES:
        p = np.round(p, 3)  # few values, so that sorting is fast
    _, at = np.unique(p, return_inverse=True)
    of_value = np.bincount(at, w)
    bins = int(np.clip(w.sum() // _LEAST_IN_BIN, 1, bins))
    middle = (np.cumsum(of_value) - of_value / 2) / w.sum()
    of_bin = np.minimum((middle * bins).astype(np.int64), bins - 1)[at]
    count, hits, sums = (np.bincount(of_bin, v, bins) for v in (w, w * y, w * p))
    found = []
    for b in np.flatnonzero(count).tolist():
        inside = p[of_bin == b]
        interval = binomtest(round(hits[b]), round(count[b])).proportion_ci(0.95, method="wilson")
        found.append(
            {
                "low": float(inside.min()),
                "high": float(inside.max()),
                "count": round(count[b]),
                "predicted": float(sums[b] / count[b]),
                "observed": float(hits[b] / count[b]),
                "observed_low": float(interval.low),
                "observed_high": float(interval.high),
            }
        )
    return found


def expected_calibration_error(
    labels: ArrayLike, probs: ArrayLike, weights: ArrayLike | None = None, *, bins: int = BINS
) -> float | None:
    """Mean distance between confidence and accuracy over equal-width bins; None without images.

    Naeini et al., AAAI 2015; with 15 bins on the probability of the predicted class as Guo et al., arXiv:1706.04599.
    Arguments as `reliability_table`.
    """
    count, confident, correct = _binned(labels, probs, weights, bins)
    return float(np.abs(correct - confident).sum() / count.sum()) if count.sum() else None


def _binned(labels: ArrayLike, probs: ArrayLike, weights: ArrayLike | None, bins: int) -> tuple[F64, F64, F64]:
    """Sums over the images of each bin, `[bins]`: weights, weighted confidence, and weights of those that are right."""
    y, p = np.asarray(labels, dtype=np.int64), np.asarray(probs, dtype=np.float64)
    right, confidence, w = p.argmax(axis=1) == y, p.max(axis=1), _weights(weights, len(y))
    at = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return _sums(at, w, bins), _sums(at, w * confidence, bins), _sums(at, w * right, bins)


def _sums(at: I64, values: F64, bins: int) -> F64:
    return np.asarray(np.bincount(at, values, bins), dtype=np.float64)


def fit_temperature(logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The temperature T that minimizes the log loss of softmax(logits / T) (Guo et al., arXiv:1706.04599).

    Args:
        logits: `[N, K]` float, of images the network was not trained on.
        labels: `[N]` int.
        weights: `[N]`, or None for one each.

    Returns:
        Between 0.05 and 20; 1 if every image is right, since the loss then decreases without bound as T approaches 0,
        and a few validation images would make every later probability 0 or 1.

    Raises:
        ValueError: there is no image, or a logit is not finite.
    """
    z = np.asarray(logits, dtype=np.float64)
    y = np.asarray(labels, dtype=np.int64)
    w = _weights(weights, len(y))
    if not len(y):
        raise ValueError("a temperature needs at least one labelled image")
    if not np.isfinite(z).all():
        raise ValueError("a temperature needs finite logits")

    if (z.argmax(axis=1) == y).all():
        return 1.0

    def loss(log_temperature: float) -> float:
        log_probs = log_softmax(z / np.exp(log_temperature), axis=1)
        return float(-np.average(log_probs[np.arange(len(y)), y], weights=w))

    low, high = _TEMPERATURES
    found = minimize_scalar(loss, bounds=(np.log(low), np.log(high)), method="bounded", options={"xatol": 1e-6})
    return float(np.clip(np.exp(found.x), low, high))


def is_at_bound(temperature: float) -> bool:
    """Whether a fitted temperature is at an end of its range, so that a better one may be beyond it."""
    low, high = _TEMPERATURES
    return temperature <= 1.01 * low or temperature >= 0.99 * high


def choose_threshold(labels: ArrayLike, probs: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The threshold with the best balanced accuracy, midway between two adjacent probabilities.

    An image is positive at or above the threshold. Ties go to the threshold nearest to 0.5, which is also the result if
    all probabilities are equal.

    Args:
        labels: `[N]`, 1 (or True) for the positive class, else 0.
        probs: `[N]` float, probability of the positive class.
        weights: `[N]`, or None for one each.

    Raises:
        ValueError: one of the two classes is missing.
    """
    y = np.asarray(labels).astype(bool)
    p = np.asarray(probs, dtype=np.float64)
    w = _weights(weights, len(y))
    scores, at = np.unique(p, return_inverse=True)
    positives = np.bincount(at, w * y, len(scores))
    negatives = np.bincount(at, w * ~y, len(scores))
    if not positives.sum() or not negatives.sum():
        raise ValueError("a threshold needs images of both classes")
    if len(scores) == 1:
        return 0.5
    # Cut i is between scores i and i + 1: scores up to i are negative.
    sensitivity = 1 - np.cumsum(positives)[:-1] / positives.sum()
    specificity = np.cumsum(negatives)[:-1] / negatives.sum()
    balanced = (sensitivity + specificity) / 2
    cuts = (scores[:-1] + scores[1:]) / 2
    best = cuts[balanced >= balanced.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def _weights(weights: ArrayLike | None, n: int) -> F64:
    return np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
