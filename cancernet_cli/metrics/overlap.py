"""Overlap of a mask with its ground truth: Dice, pooled over pixels and by patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cancernet_cli.core.arrays import I64, Bools
from cancernet_cli.metrics.resampling import RESAMPLES


def overlap_counts(mask: Bools, truth: Bools) -> tuple[int, int, int]:
    """Pixels in both, in the mask and in the truth."""
    return int((mask & truth).sum()), int(mask.sum()), int(truth.sum())


def overlap_counts_at(probs: NDArray[np.floating[Any]], truth: Bools, cuts: Sequence[float]) -> I64:
    """`overlap_counts` of `probs >= cut`, for each of C ascending cuts: `[C, 3]`."""
    reached = np.searchsorted(np.asarray(cuts, probs.dtype), probs.ravel(), side="right")  # how many cuts
    both, found = (
        np.bincount(of, minlength=len(cuts) + 1)[::-1].cumsum()[::-1][1:] for of in (reached[truth.ravel()], reached)
    )
    return np.stack([both, found, np.full(len(cuts), truth.sum())], axis=1)


def best_cut(counts: I64, cuts: Sequence[float]) -> float:
    """The cut with the highest Dice over the pixels of all images; of several the one nearest to 0.5.

    For calibrated probabilities it is half of the best Dice, not 0.5 (Lipton, Elkan, Naryanaswamy, ECML 2014,
    doi:10.1007/978-3-662-44851-9_15).

    Args:
        counts: `[N, C, 3]`, `overlap_counts_at` of each image.
    """
    reached = [dice(counts[:, number]) for number in range(len(cuts))]
    return max(zip(reached, cuts, strict=True), key=lambda pair: (pair[0], -abs(pair[1] - 0.5)))[1]


def dice(counts: ArrayLike) -> float:
    """Dice coefficient of pooled pixels: twice the intersection over the sum of the areas; 1 if both are empty.

    Args:
        counts: `[N, 3]` int, `overlap_counts` of each image.
    """
    both, found, true = np.asarray(counts, dtype=np.int64).reshape(-1, 3).sum(axis=0).tolist()
    return 2 * both / (found + true) if found + true else 1.0


def dice_by_patient(counts: ArrayLike, patients: Sequence[str]) -> dict[str, Any]:
    """`dice` over all images and of each patient, with the lowest, the highest and the mean of the patients."""
    rows, names = np.asarray(counts, dtype=np.int64).reshape(-1, 3), np.asarray(patients)
    each = {str(name): round(dice(rows[names == name]), 4) for name in np.unique(names)}
    return {
        "dice": {
            "value": round(dice(rows), 4),
            "images": len(rows),
            "patients": len(each),
            "lowest_patient": min(each.values()),
            "highest_patient": max(each.values()),
        },
        "mean_of_patients": mean_of_patients(list(each.values())),
        "by_patient": each,
    }


def mean_of_patients(values: Sequence[float]) -> dict[str, Any]:
    """The mean of one value per patient, with a 95 % percentile interval over patients if there are two or more."""
    figure: dict[str, Any] = {"value": round(float(np.mean(values)), 4)}
    if len(values) > 1:
        drawn = np.random.default_rng(0).choice(values, (RESAMPLES, len(values))).mean(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
        figure |= {"low": round(low, 4), "high": round(high, 4), "interval_units": len(values)}
    return figure
