"""Sensitivity, specificity and predictive values at each decision threshold, for two classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def threshold_table(
    labels: ArrayLike, probs: ArrayLike, counts: ArrayLike, thresholds: Sequence[float]
) -> list[dict[str, Any]]:
    """One row per threshold: the four counts and the shares computed from them; None where a denominator is 0.

    Args:
        labels: `[N]`, 1 (or True) for the positive class, else 0.
        probs: `[N]` float, probability of the positive class, which is predicted at or above the threshold.
        counts: `[N]`, images per entry.

    Returns:
        Dicts with threshold, tp, fp, fn, tn, sensitivity, specificity, ppv, npv, accuracy, balanced_accuracy, f1.
    """
    y = np.asarray(labels).astype(bool)
    p = np.asarray(probs, dtype=np.float64)
    c = np.asarray(counts, dtype=np.int64)
    order = np.argsort(np.asarray(thresholds, dtype=np.float64), kind="stable")
    ascending = np.asarray(thresholds, dtype=np.float64)[order]
    passed = np.searchsorted(ascending, p, side="right")  # thresholds at or below each probability
    back = np.argsort(order)
    # An image is below the threshold at place j if it has passed at most j
    sums = (np.cumsum(np.bincount(passed[chosen], c[chosen], len(ascending) + 1)) for chosen in (y, ~y))
    missed, rejected = (each[:-1][back].astype(np.int64).tolist() for each in sums)
    positives, negatives = int(c[y].sum()), int(c[~y].sum())
    return [
        {"threshold": float(t), **_row(positives - fn, negatives - tn, fn, tn)}
        for t, fn, tn in zip(thresholds, missed, rejected, strict=True)
    ]


def _row(tp: int, fp: int, fn: int, tn: int) -> dict[str, Any]:
    sensitivity, specificity = _share(tp, tp + fn), _share(tn, tn + fp)
    both = sensitivity is not None and specificity is not None
    return {
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "tn": tn,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": _share(tp, tp + fp),
        "npv": _share(tn, tn + fn),
        "accuracy": _share(tp + tn, tp + fp + fn + tn),
        "balanced_accuracy": (sensitivity + specificity) / 2 if both else None,  # type: ignore[operator]
        "f1": _share(2 * tp, 2 * tp + fp + fn),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
