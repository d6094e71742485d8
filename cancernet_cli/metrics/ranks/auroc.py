"""AUROC of many resamples at once."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from cancernet_cli.core.arrays import F64, Bools
from cancernet_cli.metrics.ranks.ranking import area
from cancernet_cli.metrics.resampling import Design
from cancernet_cli.metrics.scores import Scores

_MOST_LEVELS = 8_192
_LEVELS_IF_LARGE = 512


class AurocResampler:
    """AUROC as a function of the weights of the units; with K > 2, the mean of each class against the rest.

    The images are sorted once, into matrices of counts: distinct score x unit, one for the class and one for the rest.
    A resample then costs a product and a cumulative sum: the Mann-Whitney statistic, with ties counted half, as in
    scikit-learn. If there are very many distinct scores, neighbours are merged by rank, which moves the ends of an
    interval by less than 0.0001; a very large set has fewer levels and matrices that are not sparse.

    Attributes:
        width: the most distinct scores of a class, which bounds memory.
    """

    def __init__(self, design: Design, scores: Scores) -> None:
        y, p = scores.labels, scores.probs
        levels = _LEVELS_IF_LARGE if scores.is_large else _MOST_LEVELS
        self._pairs = []
        for k in [1] if p.shape[1] == 2 else np.unique(y).tolist():
            values, at = scores.ranking(k).merged(levels)
            self._pairs.append(tuple(_table(at, design, scores, chosen, len(values)) for chosen in (y == k, y != k)))
        self.width = max(of.shape[0] for of, _ in self._pairs)

    def __call__(self, weights: F64) -> F64:
        """`[R, units]` to `[R]`; NaN where a resample has no image of a class."""
        each = [area(of @ weights.T, rest @ weights.T) for of, rest in self._pairs]
        return np.asarray(np.mean(each, axis=0))


def _table(at: np.ndarray, design: Design, scores: Scores, chosen: Bools, levels: int) -> csr_matrix | F64:
    """Weights of the chosen images by level and unit: sparse, unless most of them would be filled."""
    counts, units = scores.counts[chosen].astype(np.float64), design.units[chosen]
    shape = (levels, design.size)
    if scores.is_large and len(counts) > levels * design.size / 8:
        return np.bincount(at[chosen].astype(np.int64) * design.size + units, counts, levels * design.size).reshape(
            shape
        )
    return csr_matrix((counts, (at[chosen], units)), shape)
