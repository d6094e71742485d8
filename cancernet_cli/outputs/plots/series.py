"""Labelled scores under a name: what the curves are drawn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cancernet_cli.core.arrays import F64, Bools


@dataclass(frozen=True)
class Series:
    """One curve's data.

    labels: `[N]`, True for the positive class. scores: `[N]`, probability of the positive class. weights: `[N]`, how
    many images (or patients) an entry stands for; None is one each.
    """

    name: str
    labels: Bools
    scores: F64
    weights: F64 | None = None

    @property
    def counts(self) -> F64:
        """The weights, or ones."""
        return np.ones(len(self.labels)) if self.weights is None else np.asarray(self.weights, dtype=np.float64)

    @property
    def positives(self) -> int:
        """How many belong to the positive class."""
        return round(float(self.counts[np.asarray(self.labels, dtype=bool)].sum()))

    @property
    def negatives(self) -> int:
        """How many do not."""
        return round(float(self.counts.sum())) - self.positives

    @property
    def has_both_classes(self) -> bool:
        """Whether a curve exists."""
        return self.positives > 0 and self.negatives > 0

    @property
    def size(self) -> str:
        """The counts in words."""
        return f"{self.positives:,} positive, {self.negatives:,} negative"

    def rates(self, threshold: float) -> tuple[float, float, float]:
        """Sensitivity, specificity and precision when the positive class is called at or above the threshold.

        NaN where nobody belongs to a class, or nobody is called positive.
        """
        true, called, n = np.asarray(self.labels, dtype=bool), np.asarray(self.scores) >= threshold, self.counts
        hits = float(n[true & called].sum())
        return (
            _share(hits, float(n[true].sum())),
            _share(float(n[~true & ~called].sum()), float(n[~true].sum())),
            _share(hits, float(n[called].sum())),
        )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
