"""The plots of an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cancernet_cli.core.figures import Figure, counted, figures_in, read_figures
from cancernet_cli.engine.evaluate.join import Pairs
from cancernet_cli.metrics.calibration import quantile_bins
from cancernet_cli.metrics.patients import mean_of_patients
from cancernet_cli.metrics.ranks.roc_band import roc_band
from cancernet_cli.metrics.resampling import Design, Resampling
from cancernet_cli.metrics.scores import Scores
from cancernet_cli.metrics.thresholds import threshold_table
from cancernet_cli.outputs.plots import (
    Band,
    Row,
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
_MOST_POINTS = 8_192  # more than a plot has pixels
_NAN = float("nan")

Draw = Callable[[Path], None]


def plots_of(
    scores: Scores, metrics: dict[str, Any], pairs: Pairs | None, *, name: str, stamp: str, stamp_comparison: str
) -> tuple[dict[str, Draw], dict[str, str]]:
    """What draws each plot, and why some cannot be drawn; both by the plot's name.

    Args:
        name: of the table, for the titles. stamp, stamp_comparison: the warning across the plots; "" is none.
    """
    two, both = len(scores.classes) == 2, len(np.unique(scores.labels)) > 1
    draw: dict[str, Draw] = {}
    skipped: dict[str, str] = {}
    if both:
        draw |= _curves(scores, metrics, name, stamp)
    else:
        skipped |= dict.fromkeys(("roc", "precision_recall"), metrics["images"]["auroc"]["reason"])
    draw["reliability"] = _reliability_plot(scores, metrics, name, stamp)
    matrix, title = metrics["images"]["confusion"]["true_by_predicted"], f"Decisions on images, {name}"
    draw["confusion"] = partial(plot_confusion, matrix, scores.classes, title=title, stamp=stamp)
    if two and both:
        draw["thresholds"] = _threshold_plot(scores, metrics, name, stamp)
    else:
        several = "a decision threshold requires two classes; there are more"
        skipped["thresholds"] = several if not two else metrics["images"]["auroc"]["reason"]
    forest = _forest(metrics)
    if forest:
        title = f"AUROC with 95 % intervals, {name}"
        draw["intervals"] = partial(plot_intervals, forest, measure="AUROC", reference=0.5, title=title, stamp=stamp)
    else:
        skipped["intervals"] = "no group of images has an AUROC"
    if pairs is not None:
        draw |= _comparison_plots(metrics["comparison"], pairs, stamp_comparison)
    return draw, skipped


def _curves(scores: Scores, metrics: dict[str, Any], name: str, stamp: str) -> dict[str, Draw]:
    """ROC and precision-recall curves, with the table's own threshold if it has a single one."""
    two, own = len(scores.classes) == 2, metrics["decision"]["thresholds"]
    series = _by_unit(scores, Resampling(**metrics["bootstrap"])) if two else _by_class(scores)
    points = {"images": own[0]} if two and len(own) == 1 else None
    about = f"{scores.classes[1]} against {scores.classes[0]}" if two else "each class against the rest"
    titles = {"roc": f"ROC, {name}: {about}", "precision_recall": f"Precision and recall, {name}: {about}"}
    plots = {"roc": plot_roc, "precision_recall": plot_precision_recall}
    return {
        key: partial(plot, series, title=titles[key], thresholds=points, stamp=stamp) for key, plot in plots.items()
    }


def _threshold_plot(scores: Scores, metrics: dict[str, Any], name: str, stamp: str) -> Draw:
    own = metrics["decision"]["thresholds"]
    grid = np.linspace(0, 1, 201).astype(np.float32).astype(np.float64).tolist()
    rows = threshold_table(scores.labels == 1, scores.probs[:, 1], scores.counts, grid)
    chosen = own[0] if len(own) == 1 else None
    return partial(plot_thresholds, rows, chosen=chosen, title=f"Decision thresholds, {name}", stamp=stamp)


def _reliability_plot(scores: Scores, metrics: dict[str, Any], name: str, stamp: str) -> Draw:
    """Of the positive class if there are two, otherwise of the most probable one."""
    draw = partial(plot_reliability, title=f"Reliability, {name}", stamp=stamp)
    if len(scores.classes) == 2:
        positive = scores.classes[1]
        predicted, happened = scores.probs[:, 1], scores.labels == 1
        draw = partial(draw, probability=f"probability of {positive}", share=f"Fraction that is {positive}")
    else:
        predicted, happened = scores.probs.max(axis=1), scores.probs.argmax(axis=1) == scores.labels
    bins = {"images": quantile_bins(predicted, happened, scores.counts)}
    error = Figure.from_json(metrics["images"].get("ece"))
    notes = {} if error.value is None else {"images": f"calibration error {error.text(3, interval=False)}"}
    return partial(draw, bins, notes=notes)


def _by_unit(scores: Scores, resampling: Resampling) -> list[Series]:
    """Images, and patients with their mean probability, each with the band of its curve."""
    found = [replace(_series("images", scores, 1), band=_band(scores, resampling))]
    patients = mean_of_patients(scores)
    if len(patients.labels):
        several = len(np.unique(scores.patients[scores.patients >= 0])) - len(patients.labels)
        whose = "1 patient has" if several == 1 else f"{several:,} patients have"
        note = f"{whose} images of both classes and no point" if several else ""
        band = _band(patients, resampling)
        name, is_positive = "patients (mean probability)", patients.labels == 1
        found.append(Series(name, is_positive, patients.probs[:, 1], band=band, note=note))
    return found


def _band(scores: Scores, resampling: Resampling) -> Band | None:
    """The band of a curve, from the resamples that its AUROC's interval is from."""
    found = roc_band(scores, resampling)
    if found is None:
        return None
    return Band(*found, of=f"95 % of resampled {Design.of(scores).unit}s, at each rate")


def _by_class(scores: Scores) -> list[Series]:
    """Each class against the rest; only the most frequent if there are too many curves to distinguish."""
    counts = np.bincount(scores.labels, scores.counts, len(scores.classes))
    most = sorted(np.argsort(-counts, kind="stable")[:_MOST_CURVES].tolist())
    return [_series(scores.classes[k], scores, k) for k in most]


def _series(name: str, scores: Scores, k: int) -> Series:
    """A class against the rest; of very many images, neighbors by probability are one point of the curve."""
    chosen, weights = scores.labels == k, scores.counts.astype(np.float64)
    if not scores.is_large:
        return Series(name, chosen, scores.probs[:, k], weights)
    values, at = scores.ranking(k).merged(_MOST_POINTS)
    n = len(values)
    both = np.concatenate([np.bincount(at, weights * chosen, n), np.bincount(at, weights * ~chosen, n)])
    return Series(name, np.repeat([True, False], n), np.tile(values, 2), both)


def _forest(metrics: dict[str, Any]) -> list[Row]:
    """AUROC of images, by image and case-weighted, of magnifications, slides and patients, where defined."""
    groups = [("images", metrics["images"])]
    if len(metrics["by_magnification"]) > 1:
        groups += [
            (name if name == "unknown" else f"{name}x", found) for name, found in metrics["by_magnification"].items()
        ]
    weighted = ("images, case-weighted", Figure.from_json(metrics["images"].get("case_weighted_auroc")), "case")
    groups += [(f"{n}s", metrics[f"by_{n}"]) for n in ("slide", "patient") if metrics[f"by_{n}"]["count"]]
    units = {"slides": "slide", "patients": "patient"}
    first, *others = [(name, Figure.from_json(found["auroc"]), units.get(name, "image")) for name, found in groups]
    shown = [(name, figure, _behind(figure, unit)) for name, figure, unit in [first, weighted, *others]]
    return _rows(shown)


def _behind(figure: Figure, unit: str) -> str:
    """`717 images, interval over 32 patients`."""
    counted_units = counted(figure.count, unit)
    if figure.interval is None or figure.bounds is None or not figure.interval.units:
        return counted_units
    return f"{counted_units}, interval over {counted(figure.interval.units, figure.interval.unit)}"


def _comparison_plots(found: dict[str, Any], pairs: Pairs, stamp: str) -> dict[str, Draw]:
    """The differences, and both ROC curves on the compared images."""
    this, other = found["this_name"], found["other_name"]
    differences = read_figures(found["differences"], "differences")
    rows = _rows([(spec.title, differences[spec.name], "") for spec in figures_in("differences")])
    title, measure = "Differences with 95 % intervals", f"{this} minus {other}"
    draw: dict[str, Draw] = {
        "difference": partial(plot_intervals, rows, measure=measure, title=title, reference=0.0, stamp=stamp)
    }
    if len(pairs.this.classes) == 2 and len(np.unique(pairs.this.labels)) == 2:
        both = [Series(n, s.labels == 1, s.probs[:, 1]) for n, s in ((this, pairs.this), (other, pairs.other))]
        draw["roc_comparison"] = partial(plot_roc, both, title="ROC on the images of both tables", stamp=stamp)
    return draw


def _rows(figures: list[tuple[str, Figure, str]]) -> list[Row]:
    """Name, value, interval and note of the figures that are defined; NaN where there is no interval."""
    return [
        Row(name, figure.value, *(figure.bounds or (_NAN, _NAN)), note)
        for name, figure, note in figures
        if figure.value is not None
    ]
