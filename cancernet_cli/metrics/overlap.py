"""How well a mask covers what it should: Dice, pooled over pixels and by patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def overlap_counts(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Pixels in both, in the mask, and in the truth."""
    return int((mask & truth).sum()), int(mask.sum()), int(truth.sum())


def dice(counts: ArrayLike) -> float:
    """Dice coefficient of pooled pixels: twice what is in both over the sum of the two areas; 1 when both are empty.

    Args:
        counts: `[N, 3]` int, as `overlap_counts` gives them, one row an image.
    """
    both, found, true = np.asarray(counts, dtype=np.int64).reshape(-1, 3).sum(axis=0).tolist()
    return 2 * both / (found + true) if found + true else 1.0


def dice_by_patient(counts: ArrayLike, patients: Sequence[str]) -> dict[str, Any]:
    """`dice` over all images, with the lowest and highest patient, and each patient's own."""
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
        "by_patient": each,
    }
