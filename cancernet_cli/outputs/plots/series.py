"""Labelled scores with a name: the data of a curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cancernet_cli.core.arrays import F64, Bools


@dataclass(frozen=True)
class Series:
    """The data of one curve.

    labels: `[N]`, True for the positive class. scores: `[N]`, probability of the positive class. weights: `[N]`, the
    images (or patients) per entry; None for one each.
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
        """Number in the positive class."""
        return round(float(self.counts[np.asarray(self.labels, dtype=bool)].sum()))

    @property
    def negatives(self) -> int:
        """Number in the negative class."""
        return round(float(self.counts.sum())) - self.positives

    @property
    def has_both_classes(self) -> bool:
        """Whether a curve exists."""
        return self.positives > 0 and self.negatives > 0

    @property
    def size(self) -> str:
        """The counts as text."""
        return f"{self.positives:,} positive, {self.negatives:,} negative"

    def rates(self, threshold: float) -> tuple[float, float, float]:
        """Sensitivity, specificity and precision if the positive class is predicted at or above the threshold.

        NaN if a class is empty, or nothing is predicted as positive.
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
