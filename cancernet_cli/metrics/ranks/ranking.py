"""The distinct probabilities of a set of images, sorted once for all figures that depend on their order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cancernet_cli.core.arrays import F64, Bools


@dataclass(frozen=True)
class Ranking:
    """The distinct values of a score.

    values: `[S]`, ascending. at: `[N]` int32, the place of each image's score in them.
    """

    values: F64
    at: np.ndarray

    @classmethod
    def of(cls, scores: F64) -> Ranking:
        """The ranking of scores `[N]`; as `np.unique`, in less memory."""
        order = np.argsort(scores)
        ascending = scores[order]
        first = np.append(True, ascending[1:] != ascending[:-1])[: len(scores)]
        values = ascending[first]
        del ascending
        at = np.empty(len(scores), np.int32)
        at[order] = np.cumsum(first, dtype=np.int32) - 1
        return cls(values, at)

    def where(self, chosen: Bools) -> Ranking:
        """The ranking of the chosen images, `[N]` bool."""
        at = self.at[chosen]
        present = np.bincount(at, minlength=len(self.values)) > 0
        return Ranking(self.values[present], (np.cumsum(present, dtype=np.int32) - 1)[at])

    def masses(self, chosen: Bools, weights: np.ndarray) -> tuple[F64, F64]:
        """Weights at each distinct value, `[S]` each, of the chosen images (`[N]` bool) and of all others."""
        n = len(self.values)
        positives = np.asarray(np.bincount(self.at, weights * chosen, n), dtype=np.float64)
        return positives, np.asarray(np.bincount(self.at, weights * ~chosen, n), dtype=np.float64)

    def merged(self, levels: int) -> tuple[F64, np.ndarray]:
        """Neighbors merged by rank: the mean value of each level, and the level of each image."""
        levels = min(levels, len(self.values))
        of = np.arange(len(self.values)) * levels // len(self.values)
        means = np.bincount(of, self.values, levels) / np.bincount(of, minlength=levels)
        return means, of.astype(np.int32)[self.at]


def area(positives: F64, negatives: F64) -> F64:
    """Share of pairs in the right order, ties counted half: the AUROC.

    Args:
        positives, negatives: weights by ascending score, `[S]` or `[S, R]`.

    Returns:
        A number, or `[R]`; NaN where one of the two has no weight.
    """
    below = np.cumsum(negatives, axis=0)
    pairs = positives.sum(axis=0) * below[-1]
    wins = (positives * (below - negatives / 2)).sum(axis=0)
    return np.asarray(np.divide(wins, pairs, out=np.full(np.shape(pairs), np.nan), where=pairs > 0))


def average_precision(positives: F64, negatives: F64) -> float:
    """Mean of the precision at each distinct score, weighted by the gain in recall; arguments `[S]` as in `area`."""
    hits = np.cumsum(positives[::-1])
    called = hits + np.cumsum(negatives[::-1])
    precision = np.divide(hits, called, out=np.zeros(len(hits)), where=called > 0)
    return float((precision * positives[::-1]).sum() / hits[-1])
