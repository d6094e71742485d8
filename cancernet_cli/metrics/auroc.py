"""AUROC of many resamples at once."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from cancernet_cli.core.arrays import F64
from cancernet_cli.metrics.resampling import Design
from cancernet_cli.metrics.scores import Scores

_MOST_LEVELS = 8_192


class AurocResampler:
    """AUROC as a function of the weights of the units; with K > 2, the mean of each class against the rest.

    The images are sorted once, into matrices of counts: distinct score x unit, one for the class and one for the rest.
    A resample then costs a product and a cumulative sum: the Mann-Whitney statistic, with ties counted half, as in
    scikit-learn. If there are very many distinct scores, neighbours are merged by rank, which moves the ends of an
    interval by less than 0.0001.

    Attributes:
        width: the most distinct scores of a class, which bounds memory.
    """

    def __init__(self, design: Design, scores: Scores) -> None:
        y, p, counts = scores.labels, scores.probs, scores.counts.astype(np.float64)
        self._pairs = []
        for k in [1] if p.shape[1] == 2 else np.unique(y).tolist():
            values, at = np.unique(p[:, k], return_inverse=True)
            levels = min(len(values), _MOST_LEVELS)
            at = at * levels // len(values)
            shape = (levels, design.size)
            self._pairs.append(
                tuple(
                    csr_matrix((counts[chosen], (at.reshape(-1)[chosen], design.units[chosen])), shape)
                    for chosen in (y == k, y != k)
                )
            )
        self.width = max(of.shape[0] for of, _ in self._pairs)

    def __call__(self, weights: F64) -> F64:
        """`[R, units]` to `[R]`; NaN where a resample has no image of a class."""
        each = [_mann_whitney(of @ weights.T, rest @ weights.T) for of, rest in self._pairs]
        return np.asarray(np.mean(each, axis=0))


def _mann_whitney(positives: F64, negatives: F64) -> F64:
    """Share of pairs in the right order; weights by ascending score, `[S, R]` each."""
    below = np.cumsum(negatives, axis=0)
    pairs = positives.sum(axis=0) * below[-1]
    wins = np.einsum("sr,sr->r", positives, below - negatives / 2)
    share: F64 = np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
    return share
