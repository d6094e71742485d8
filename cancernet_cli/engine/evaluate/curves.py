"""What the charts of a page show, from labelled predictions: curves, counts at every threshold, reliability."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import roc_curve

from cancernet_cli.core.arrays import F64
from cancernet_cli.core.records import Kind
from cancernet_cli.metrics.calibration import quantile_bins
from cancernet_cli.metrics.patients import mean_of_patients
from cancernet_cli.metrics.scores import Scores
from cancernet_cli.metrics.thresholds import threshold_table

_GRID = (np.arange(1001) / 1000).astype(np.float32).astype(np.float64)  # as float32, as the table stores probabilities
_MOST_POINTS = 400
_MOST_CURVES = 8


def page_curves(scores: Scores, threshold: float | None, unit: Kind = "image") -> dict[str, Any]:
    """`roc`, `reliability` and `thresholds` as JSON; None for each that does not exist.

    Args:
        scores: of two classes, the second is the positive one. threshold: the table's, if it has a single one.
        unit: what the rows are.
    """
    two, both = len(scores.classes) == 2, len(np.unique(scores.labels)) > 1
    return {
        "roc": _roc(scores, threshold, unit) if both else None,
        "reliability": _reliability(scores) if two else None,
        "thresholds": _thresholds(scores, threshold, unit) if two and both else None,
    }


def _roc(scores: Scores, threshold: float | None, unit: Kind) -> dict[str, Any]:
    """Curves of images and patients, or of each class against the rest; and the threshold's place on the first."""
    if len(scores.classes) != 2:
        counts = np.bincount(scores.labels, scores.counts, len(scores.classes))
        most = sorted(np.argsort(-counts, kind="stable")[:_MOST_CURVES].tolist())
        return {"series": [_curve(scores.classes[k], scores, k) for k in most if counts[k]], "threshold": None}
    series = [_curve(f"{unit}s", scores, 1)]
    patients = mean_of_patients(scores)
    if len(np.unique(patients.labels)) == 2:
        series.append(_curve("patients (mean probability)", patients, 1))
    place = None
    if threshold is not None:
        row = threshold_table(scores.labels == 1, scores.probs[:, 1], scores.counts, [threshold])[0]
        place = {"x": 1 - row["specificity"], "y": row["sensitivity"], "value": threshold}
    return {"series": series, "threshold": place}


def _curve(name: str, scores: Scores, k: int) -> dict[str, Any]:
    """A class against the rest, with at most 400 points."""
    values, at = scores.ranking(k).merged(8192)
    chosen = scores.labels == k
    positives, negatives = (np.bincount(at, scores.counts * rows, len(values)) for rows in (chosen, ~chosen))
    weights = np.concatenate([positives, negatives])
    x, y, _ = roc_curve(np.repeat([True, False], len(values)), np.tile(values, 2), sample_weight=weights)
    if len(x) > _MOST_POINTS:
        kept = np.unique(np.linspace(0, len(x) - 1, _MOST_POINTS).round().astype(int))
        x, y = x[kept], y[kept]
    return {
        "name": name,
        "x": _rounded(x),
        "y": _rounded(y),
        "positive": round(float(positives.sum())),
        "negative": round(float(negatives.sum())),
    }


def _reliability(scores: Scores) -> list[dict[str, Any]]:
    """The bins of the reliability plot, of the positive class."""
    names = {"mean": "predicted", "observed": "observed", "low": "observed_low", "high": "observed_high"}
    return [
        {name: round(one[key], 4) for name, key in names.items()} | {"count": one["count"]}
        for one in quantile_bins(scores.probs[:, 1], scores.labels == 1, scores.counts)
    ]


def _thresholds(scores: Scores, own: float | None, unit: Kind) -> dict[str, Any]:
    """True and false positives at 1,001 thresholds and at the table's, of images and of patients."""
    units = {f"{unit}s": scores}
    patients = mean_of_patients(scores)
    if len(np.unique(patients.labels)) == 2:
        units["patients, by mean probability"] = patients
    counts = []
    for one in units.values():
        positive = one.labels == 1
        rows = threshold_table(positive, one.probs[:, 1], one.counts, [*_GRID, 0.5 if own is None else own])
        counts.append(
            {
                "tp": [row["tp"] for row in rows[:-1]],
                "fp": [row["fp"] for row in rows[:-1]],
                "at_own": [rows[-1]["tp"], rows[-1]["fp"]],
                "positives": int(one.counts[positive].sum()),
                "negatives": int(one.counts[~positive].sum()),
            }
        )
    return {
        "units": list(units),
        "counts": counts,
        "own": own,
        "positive": scores.classes[1],
        "negative": scores.classes[0],
    }


def _rounded(values: F64) -> list[float]:
    return [round(float(value), 4) for value in values]
