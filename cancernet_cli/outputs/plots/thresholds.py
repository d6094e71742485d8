"""Sensitivity, specificity and predictive values over the decision threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.lines import Line2D

from cancernet_cli.outputs.plots.canvas import COLOURS, INK, legend, new_figure, save, style

_MEASURES = {
    "sensitivity": ("sensitivity", "-", 2.2, COLOURS[0]),
    "specificity": ("specificity", "-", 2.2, COLOURS[1]),
    "ppv": ("positive predictive value", "--", 1.5, COLOURS[0]),
    "npv": ("negative predictive value", "--", 1.5, COLOURS[1]),
    "balanced_accuracy": ("balanced accuracy", "-", 1.5, COLOURS[2]),
    "f1": ("F1", "--", 1.5, COLOURS[3]),
}


def plot_thresholds(
    rows: Sequence[Mapping[str, float]],
    path: Path,
    chosen: float | None,
    *,
    title: str = "",
    stamp: str = "",
) -> None:
    """Sensitivity, specificity, predictive values, balanced accuracy and F1 over the threshold.

    Args:
        rows: each with `threshold` and any of sensitivity, specificity, ppv, npv, balanced_accuracy and f1;
            None (or NaN) where undefined.
        chosen: the threshold in use, marked by a line; None marks none.
    """
    figure = new_figure(6.8, 5.8)
    axes = figure.add_subplot()
    style(axes, "Decision threshold (probability of the positive class)", "Share of images")
    axes.set(xlim=(0, 1), ylim=(-0.01, 1.01))
    ordered = sorted(rows, key=lambda row: row["threshold"])
    handles: list[Any] = []
    for key, (words, line, width, ink) in _MEASURES.items():
        points = [(row["threshold"], row[key]) for row in ordered if row.get(key) is not None]
        if points:
            x, y = zip(*points, strict=True)
            handles += axes.plot(x, y, linestyle=line, linewidth=width, color=ink, label=words)
    if chosen is not None:
        axes.axvline(chosen, color=INK, linewidth=1.2)
        handles.append(Line2D([], [], color=INK, linewidth=1.2, label=f"threshold in use: {chosen:.3g}"))
    legend(figure, handles, columns=2)
    save(figure, path, title=title or "Decision thresholds", stamp=stamp)
