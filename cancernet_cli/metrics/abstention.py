"""When a classifier should not decide: a band of probabilities with a promised error, and figures of what is covered.

The promise is that of conformal risk control (Angelopoulos, Bates, Fisch, Lei, Schuster, "Conformal Risk Control",
arXiv:2208.02814, theorem 1), for each true class on its own and over cases: averaged over new cases, at most `error` of
the images of a class get the label of the other one. An image in the band gets neither, so its label is not wrong. The
cases must be exchangeable: new ones are like those that the band was fitted on, which another laboratory's may not be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cancernet_cli.core.arrays import F64, Bools
from cancernet_cli.core.figures import Figure
from cancernet_cli.metrics.resampling import Design, resampled_by
from cancernet_cli.metrics.scores import Scores

MOST_ERROR = 0.25  # a promise of a higher error is none; three cases of each class suffice for this one
_TINY = 1e-9

ALL_UNSURE = "every image is unsure"


@dataclass(frozen=True)
class Band:
    """Probabilities of the positive class, from `low` to `high`, for which the label is unsure.

    error: promised for each class; higher than asked for if there are too few cases. coverage: share of the images it
    was fitted on that get a label. covered_accuracy: share of these with the right label; None if there are none. In
    both, every case has the same weight. cases: of the negative and of the positive class.
    """

    low: float
    high: float
    error: float
    coverage: float
    covered_accuracy: float | None
    cases: tuple[int, int]


def fit_band(labels: ArrayLike, probs: ArrayLike, cases: ArrayLike, *, threshold: float, error: float) -> Band | None:
    """The narrowest band around the threshold for which the error can be promised; None without enough cases.

    With n cases of a class, the sum of the shares of their images that would get the wrong label, plus 1 for the case
    to come, must not exceed `error` * (n + 1). No error below 1 / (n + 1) can be promised: if `error` is lower, that of
    the class with fewer cases is promised instead, unless it exceeds `MOST_ERROR`.

    Args:
        labels: `[N]`, 1 (or True) for the positive class, else 0.
        probs: `[N]` float, of the positive class, by a model that was not trained on the case.
        cases: `[N]` names or numbers; a case may have images of both classes.
        threshold: an image outside the band is positive at or above it.
        error: above 0, at most `MOST_ERROR`.
    """
    y, p, of = np.asarray(labels).astype(bool), np.asarray(probs, np.float64), np.asarray(cases)
    n = tuple(len(np.unique(of[y == k])) for k in (False, True))
    promised = max(error, 1 / (min(n) + 1))
    if promised > MOST_ERROR + _TINY:
        return None
    # Of the scores that are too high (or too low) to be called the other class, the sum of the cases' shares
    allowed = [promised * (count + 1) - 1 for count in n]
    high = max(_last_above(p[~y], _shares(of[~y]), allowed[0]), threshold)
    low = min(-_last_above(-p[y], _shares(of[y]), allowed[1]), threshold)
    covered, weights = ~is_unsure(p, low, high), _shares(of)
    right = (p >= threshold) == y
    accuracy = float(np.average(right[covered], weights=weights[covered])) if covered.any() else None
    return Band(low, high, promised, float(np.average(covered, weights=weights)), accuracy, (n[0], n[1]))


def is_unsure(probs: ArrayLike, low: float | None, high: float | None) -> Bools:
    """Which probabilities of the positive class, `[...]`, are in the band; compared as float32, as tables store them.

    A band without width has no probabilities, and neither has one without limits.
    """
    p = np.asarray(probs, np.float32)
    if low is None or high is None or np.float32(low) >= np.float32(high):
        return np.zeros(p.shape, np.bool_)
    return np.asarray((p >= np.float32(low)) & (p <= np.float32(high)))


def _shares(cases: np.ndarray) -> F64:
    """`[N]`: one over the number of images of each one's case."""
    _, at, counts = np.unique(cases, return_inverse=True, return_counts=True)
    return np.asarray(1 / counts[at.reshape(-1)])


def _last_above(scores: F64, shares: F64, allowed: float) -> float:
    """The highest score such that the shares of it and all higher scores add up to more than is allowed."""
    values, at = np.unique(scores, return_inverse=True)
    at_least = np.cumsum(np.bincount(at.reshape(-1), shares)[::-1])[::-1]
    return float(values[np.flatnonzero(at_least > allowed + _TINY)[-1]])


class _RatioResampler:
    """A ratio of two counts of images as a function of the weights of the patients."""

    width = 1

    def __init__(self, design: Design, part: F64, whole: F64) -> None:
        self._part, self._whole = (np.bincount(design.units, counts, design.size) for counts in (part, whole))

    def __call__(self, weights: F64) -> F64:
        """`[R, patients]` to `[R]`."""
        part, whole = weights @ self._part, weights @ self._whole
        return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))


def _covered(scores: Scores) -> tuple[F64, F64]:
    counts = scores.counts.astype(np.float64)
    return counts * ~scores.unsure, counts


def _right(scores: Scores, of: Sequence[int] = ()) -> tuple[F64, F64]:
    """Covered images with the right label, and covered images; of some true classes only, if given."""
    whole = _covered(scores)[0] * (np.isin(scores.labels, of) if of else True)
    return whole * scores.right, whole


def _ratio(part: F64, whole: F64, reason: str) -> Figure:
    n = int(whole.sum())
    return Figure.of(part.sum() / n if n else None, n, reason)


@resampled_by(lambda design, scores: _RatioResampler(design, *_covered(scores)))
def coverage(scores: Scores) -> Figure:
    """Share of images with a label, which is not `unsure`."""
    return _ratio(*_covered(scores), "no images")


@resampled_by(lambda design, scores: _RatioResampler(design, *_right(scores)))
def covered_accuracy(scores: Scores) -> Figure:
    """Share of the covered images that are classified correctly."""
    return _ratio(*_right(scores), ALL_UNSURE)


@resampled_by(lambda design, scores: _RatioResampler(design, *_right(scores, [1])))
def covered_recall(scores: Scores) -> Figure:
    """Sensitivity on the covered images; two classes only."""
    return _of_class(scores, 1)


@resampled_by(lambda design, scores: _RatioResampler(design, *_right(scores, [0])))
def covered_specificity(scores: Scores) -> Figure:
    """Specificity on the covered images; two classes only."""
    return _of_class(scores, 0)


def _of_class(scores: Scores, number: int) -> Figure:
    if len(scores.classes) != 2:
        return Figure.of(None, scores.n_images, "there are more than two classes")
    return _ratio(*_right(scores, [number]), f"no {scores.classes[number]} image is covered")
