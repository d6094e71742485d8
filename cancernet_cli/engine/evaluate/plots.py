"""The plots of an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cancernet_cli.core.figure_names import NAMES
from cancernet_cli.engine.evaluate.join import Pairs
from cancernet_cli.metrics.groups import mean_of_patients
from cancernet_cli.metrics.scores import Scores
from cancernet_cli.metrics.thresholds import threshold_table
from cancernet_cli.outputs.plots import (
    Series,
    plot_confusion,
    plot_intervals,
    plot_precision_recall,
    plot_reliability,
    plot_roc,
    plot_thresholds,
)

NAMES_OF_FILES = (
    "roc",
    "precision_recall",
    "reliability",
    "confusion",
    "thresholds",
    "intervals",
    "difference",
    "roc_comparison",
)
_MOST_CURVES = 8
_NAN = float("nan")

Draw = Callable[[Path], None]


def plots_of(
    scores: Scores, metrics: dict[str, Any], pairs: Pairs | None, *, name: str, stamp: str, stamp_comparison: str
) -> tuple[dict[str, Draw], dict[str, str]]:
    """What draws each plot, and why some cannot be drawn; both by the plot's name.

    Args:
        name: of the table, for the titles. stamp, stamp_comparison: the warning across the plots; "" is none.
    """
    two = len(scores.classes) == 2
    has_curves = len(np.unique(scores.labels)) > 1
    marked = {"stamp": stamp}
    draw: dict[str, Draw] = {}
    skipped: dict[str, str] = {}
    about = f"{scores.classes[1]} against {scores.classes[0]}" if two else "each class against the rest"
    if has_curves:
        series = _by_unit(scores) if two else _by_class(scores)
        own = metrics["decision"]["thresholds"]
        points = {"images": own[0]} if two and len(own) == 1 else None
        curves = (("roc", plot_roc, "ROC"), ("precision_recall", plot_precision_recall, "Precision and recall"))
        for key, plot, word in curves:
            draw[key] = _call(plot, series, title=f"{word}, {name}: {about}", thresholds=points, **marked)
    else:
        skipped |= dict.fromkeys(("roc", "precision_recall"), metrics["images"]["auroc"]["reason"])
    bins = {"images": metrics["images"]["reliability"]}
    if metrics.get("unseen"):
        bins["patients not trained on"] = metrics["unseen"]["images"]["reliability"]
    draw["reliability"] = _call(plot_reliability, bins, title=f"Reliability, {name}", **marked)
    matrix = metrics["images"]["confusion"]["true_by_predicted"]
    draw["confusion"] = _call(plot_confusion, matrix, scores.classes, title=f"Decisions on images, {name}", **marked)
    if not two:
        skipped["thresholds"] = "a threshold decides between two classes; there are more"
    elif has_curves:
        grid = np.linspace(0, 1, 201).astype(np.float32).astype(np.float64).tolist()
        rows = threshold_table(scores.labels == 1, scores.probs[:, 1], scores.counts, grid)
        chosen = own[0] if len(own) == 1 else None
        draw["thresholds"] = _last(plot_thresholds, rows, chosen, title=f"Decision thresholds, {name}", **marked)
    else:
        skipped["thresholds"] = metrics["images"]["auroc"]["reason"]
    forest = _forest(metrics)
    if forest:
        title = f"AUROC with 95 % intervals, {name}"
        draw["intervals"] = _call(plot_intervals, forest, measure="AUROC", reference=0.5, title=title, **marked)
    else:
        skipped["intervals"] = "no group of images has an AUROC"
    if pairs is not None:
        draw |= _comparison(metrics["comparison"], pairs, {"stamp": stamp_comparison})
    return draw, skipped


def _call(plot: Callable[..., None], *data: Any, **more: Any) -> Draw:
    return lambda path: plot(*data, path, **more)


def _last(plot: Callable[..., None], rows: Any, chosen: float | None, **more: Any) -> Draw:
    return lambda path: plot(rows, path, chosen, **more)


def _by_unit(scores: Scores) -> list[Series]:
    """Images, and patients by their mean probability."""
    found = [Series("images", scores.labels == 1, scores.probs[:, 1], scores.counts.astype(np.float64))]
    patients = mean_of_patients(scores)
    if len(patients.labels):
        found.append(Series("patients (mean probability)", patients.labels == 1, patients.probs[:, 1]))
    return found


def _by_class(scores: Scores) -> list[Series]:
    """Each class against the rest; the most frequent ones where there are too many curves to tell apart."""
    counts = np.bincount(scores.labels, scores.counts, len(scores.classes))
    most = sorted(np.argsort(-counts, kind="stable")[:_MOST_CURVES].tolist())
    weights = scores.counts.astype(np.float64)
    return [Series(scores.classes[k], scores.labels == k, scores.probs[:, k], weights) for k in most]


def _forest(metrics: dict[str, Any]) -> list[tuple[str, float, float, float]]:
    """AUROC of images, magnifications, slides and patients, where there is one."""
    groups = [("images", metrics["images"]["auroc"])]
    if metrics.get("unseen"):
        groups.append(("images of patients not trained on", metrics["unseen"]["images"]["auroc"]))
    if len(metrics["by_magnification"]) > 1:
        groups += [
            (name if name == "unknown" else f"{name}x", found["auroc"])
            for name, found in metrics["by_magnification"].items()
        ]
    groups += [(f"{n}s", metrics[f"by_{n}"]["auroc"]) for n in ("slide", "patient") if metrics[f"by_{n}"]["count"]]
    return [(name, found["value"], *_ends(found)) for name, found in groups if found["value"] is not None]


def _comparison(found: dict[str, Any], pairs: Pairs, marked: dict[str, str]) -> dict[str, Draw]:
    """The differences, and both ROC curves on the images that are compared."""
    this, other = found["this_name"], found["other_name"]
    rows = [
        (NAMES[key], entry["value"], *_ends(entry))
        for key, entry in found["differences"].items()
        if entry["value"] is not None
    ]
    draw: dict[str, Draw] = {
        "difference": _call(
            plot_intervals,
            rows,
            measure=f"{this} minus {other}",
            title="Differences with 95 % intervals",
            reference=0.0,
            **marked,
        )
    }
    if len(pairs.this.classes) == 2 and len(np.unique(pairs.this.labels)) == 2:
        both = [Series(n, s.labels == 1, s.probs[:, 1]) for n, s in ((this, pairs.this), (other, pairs.other))]
        draw["roc_comparison"] = _call(plot_roc, both, title="ROC on the images of both tables", **marked)
    return draw


def _ends(found: dict[str, Any]) -> tuple[float, float]:
    low, high = found.get("low"), found.get("high")
    return (_NAN, _NAN) if low is None or high is None else (low, high)
