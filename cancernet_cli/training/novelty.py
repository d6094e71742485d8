"""Fit novelty: the distance of a view from the training views, and the limit beyond which it is out of domain."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cancernet_cli.core.arrays import F64, Strings

RANK = 32
_SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True)
class NoveltyModel:
    """See `classification.domain.Novelty`: center, spread `[D]`, axes `[D, R]`, gains `[R]`."""

    center: F64
    spread: F64
    axes: F64
    gains: F64
    floor: float

    def novelty(self, features: NDArray[np.floating]) -> F64:
        """Mean novelty `[N]` of the views of N images, `[N, K, D]`."""
        z = (features - self.center) / self.spread
        squared = self.floor * np.square(z).sum(axis=2) + np.square(z @ self.axes) @ self.gains
        return np.asarray(np.sqrt(np.maximum(squared, 0)).mean(axis=1), np.float64)

    def limited(self, limit: float) -> NoveltyModel:
        """The same with novelty divided by `limit`."""
        return replace(self, gains=self.gains / limit**2, floor=self.floor / limit**2)


def fit_novelty(features: NDArray[np.floating], cases: Strings) -> NoveltyModel:
    """Center, and covariance shrunk by Ledoit and Wolf's formula, of the training views; each case has the same weight.

    Beyond the first `RANK` axes one variance is used for all directions, as in probabilistic PCA (Tipping, Bishop, J R
    Stat Soc B 61(3), 1999), which keeps D x R numbers rather than D x D. The squared distance is divided by D.

    Args:
        features: `[N, K, D]`, of K views of each of N images. cases: `[N]` names.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage  # takes a second to import

    images, views, width = features.shape
    weights = case_weights(cases)
    rows = np.asarray(features, np.float64).reshape(images * views, width)
    each = np.repeat(weights / views, views)
    center = each @ rows
    spread = np.sqrt(each @ np.square(rows - center))
    spread = np.where(spread < _SMALLEST_SPREAD, 1.0, spread)
    z = (rows - center) / spread
    # Views of one image are similar, so they do not add to the number of observations.
    first = z[::views] * np.sqrt(weights * images)[:, None]
    shrinkage = ledoit_wolf_shrinkage(first, assume_centered=True) if images > 1 else 1.0
    covariance = (z * each[:, None]).T @ z
    variance = max(np.trace(covariance) / width, _SMALLEST_SPREAD)
    values, axes = np.linalg.eigh((1 - shrinkage) * covariance + shrinkage * variance * np.eye(width))
    values = np.maximum(values, _SMALLEST_SPREAD)[::-1]
    rank = min(RANK, width)
    floor = 1 / values[rank:].mean() if rank < width else 0.0
    return NoveltyModel(center, spread, axes[:, ::-1][:, :rank], (1 / values[:rank] - floor) / width, floor / width)


def novelty_limit(novelty: F64, cases: Strings, share: float) -> float:
    """The limit that at most this share of the images of unseen cases exceeds, each case with the same weight.

    The quantile of split conformal prediction (Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005)
    over cases: one more case than there are counts as beyond every limit. With fewer than `1 / share - 1` cases it is
    the largest novelty, which a share of `1 / (cases + 1)` exceeds.

    Args:
        novelty: `[N]` of images, each from a fit without its case. cases: `[N]` names.
    """
    order = np.argsort(novelty, kind="stable")
    count = len(np.unique(cases))
    below = np.cumsum(case_weights(cases)[order]) * count / (count + 1)
    at = int(np.searchsorted(below, 1 - share - 1e-9))
    return max(float(novelty[order[min(at, len(order) - 1)]]), _SMALLEST_SPREAD)


def case_weights(cases: Strings) -> F64:
    """`[N]`: the same total weight for each case, adding up to 1."""
    _, at, counts = np.unique(cases, return_inverse=True, return_counts=True)
    return np.asarray(1 / counts[at] / len(counts), np.float64)
