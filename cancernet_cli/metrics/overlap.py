"""Overlap of a mask or of its nuclei with the ground truth: Dice, Jaccard, AJI and PQ, and their means by patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cancernet_cli.core.arrays import F64, I64, Bools
from cancernet_cli.core.figures import MASK_FIGURES
from cancernet_cli.metrics.measure import function_of
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


@dataclass(frozen=True)
class LabelOverlap:
    """Pixels that predicted and true nuclei share.

    found: `[P]` int64, area of each predicted nucleus. true: `[T]`, of each true one. shared: `[S]`, number of pixels
    in both of a pair that overlaps; predicted, actual: `[S]`, index of the two nuclei.
    """

    found: I64
    true: I64
    shared: I64
    predicted: I64
    actual: I64

    @property
    def ious(self) -> F64:
        """`[S]`: intersection over union of each pair."""
        return self.shared / (self.found[self.predicted] + self.true[self.actual] - self.shared)


def label_overlap(labels: NDArray[np.integer[Any]], truth: NDArray[np.integer[Any]]) -> LabelOverlap:
    """The overlap of two label images `[H, W]` with 0 for background; labels need not be consecutive."""
    found_names, found = np.unique(labels, return_inverse=True)
    true_names, true = np.unique(truth, return_inverse=True)
    places = found.reshape(-1) * len(true_names) + true.reshape(-1)
    pairs = np.bincount(places, minlength=len(found_names) * len(true_names))
    table = pairs.reshape(len(found_names), len(true_names))[found_names != 0]
    areas = pairs.reshape(len(found_names), len(true_names))[:, true_names != 0].sum(axis=0)
    inside = table[:, true_names != 0]
    predicted, actual = np.nonzero(inside)
    return LabelOverlap(table.sum(axis=1), areas, inside[predicted, actual], predicted, actual)


def mask_dice(overlap: LabelOverlap) -> float:
    """Dice coefficient of all nuclei together; 1 if there are none in either."""
    areas = overlap.found.sum() + overlap.true.sum()
    return float(2 * overlap.shared.sum() / areas) if areas else 1.0


def jaccard(overlap: LabelOverlap) -> float:
    """Jaccard index of all nuclei together: intersection over union; 1 if there are none in either."""
    both = overlap.shared.sum()
    union = overlap.found.sum() + overlap.true.sum() - both
    return float(both / union) if union else 1.0


def aji(overlap: LabelOverlap) -> float:
    """Aggregated Jaccard index (Kumar et al., IEEE TMI 36(7):1550-1560, 2017); 1 if there are no nuclei in either.

    Each true nucleus is paired with the predicted one of the highest IoU; predicted ones that no true nucleus is paired
    with enlarge the union.
    """
    order = np.lexsort((-overlap.ious, overlap.actual))
    best = order[np.unique(overlap.actual[order], return_index=True)[1]]
    predicted, actual = overlap.predicted[best], overlap.actual[best]
    both = overlap.shared[best].sum()
    unpaired_true = overlap.true.sum() - overlap.true[actual].sum()
    unpaired_found = overlap.found.sum() - overlap.found[np.unique(predicted)].sum()
    union = overlap.found[predicted].sum() + overlap.true[actual].sum() - both + unpaired_true + unpaired_found
    return float(both / union) if union else 1.0


def pq(overlap: LabelOverlap) -> float:
    """Panoptic quality (Kirillov et al., CVPR 2019, arXiv:1801.00868); 1 if there are no nuclei in either.

    The sum of the IoUs of pairs above 0.5, over the mean number of true and predicted nuclei.
    """
    ious = overlap.ious
    nuclei = len(overlap.found) + len(overlap.true)
    return float(ious[ious > 0.5].sum() / (nuclei / 2)) if nuclei else 1.0


def overlap_values(overlap: LabelOverlap) -> dict[str, float]:
    """Every figure of `core.figures.MASK_FIGURES` for one image, by name."""
    return {spec.name: function_of(spec)(overlap) for spec in MASK_FIGURES}


def by_patient(values: ArrayLike, patients: Sequence[str]) -> dict[str, Any]:
    """Mean of one value per image over images and over patients, with a 95 % interval over patients.

    Returns:
        `images`, the plain mean; `patients`, as `mean_of_patients` of each patient's mean; `by_patient`, those means.
    """
    found, names = np.asarray(values, np.float64), np.asarray(patients)
    each = {str(name): round(float(found[names == name].mean()), 4) for name in np.unique(names)}
    return {
        "images": round(float(found.mean()), 4),
        "patients": mean_of_patients(list(each.values())),
        "by_patient": each,
    }


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


def overlap_summary(
    values: Mapping[str, Sequence[float]], found: Sequence[int], true: Sequence[int], patients: Sequence[str]
) -> dict[str, Any]:
    """Every figure of N images by patient, and how well nuclei are counted.

    Args:
        values: `[N]` by figure (`overlap_values`). found, true: number of nuclei in each image. patients: N names.
    """
    predicted, actual = np.asarray(found, np.float64), np.asarray(true, np.float64)
    error = predicted - actual
    varies = len(actual) > 1 and predicted.std() > 0 and actual.std() > 0
    return {
        "images": len(actual),
        "patients": len(set(patients)),
        "figures": {name: by_patient(values[name], patients) for name in values},
        "counts": {
            "found": int(predicted.sum()),
            "true": int(actual.sum()),
            "mean_error": round(float(error.mean()), 2),
            "mean_absolute_error": round(float(np.abs(error).mean()), 2),
            "correlation": round(float(np.corrcoef(predicted, actual)[0, 1]), 4) if varies else None,
        },
    }
