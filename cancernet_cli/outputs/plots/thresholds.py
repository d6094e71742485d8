"""Sensitivity, specificity and predictive values over the decision threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from cancernet_cli.outputs.plots.canvas import COLOURS, INK, legend, new_figure, save, style

# One panel each: of the images of a class, of the images with a label, and over both classes.
_PANELS = (
    ("Share of a true class", {"sensitivity": ("sensitivity", COLOURS[1]), "specificity": ("specificity", COLOURS[0])}),
    (
        "Share of a label",
        {"ppv": ("positive predictive value", COLOURS[5]), "npv": ("negative predictive value", COLOURS[4])},
    ),
    ("Both classes", {"balanced_accuracy": ("balanced accuracy", COLOURS[2]), "f1": ("F1", COLOURS[3])}),
)


def plot_thresholds(
    rows: Sequence[Mapping[str, float]],
    path: Path,
    chosen: float | None,
    *,
    title: str = "",
    stamp: str = "",
) -> None:
    """Sensitivity and specificity, predictive values, balanced accuracy and F1 over the threshold, in a panel each.

    Args:
        rows: each with `threshold` and any of sensitivity, specificity, ppv, npv, balanced_accuracy and f1;
            None (or NaN) where undefined. Panels without any are omitted.
        chosen: the threshold in use, marked by a line; None marks none.
    """
    ordered = sorted(rows, key=lambda row: row["threshold"])
    panels = [(name, keys) for name, keys in _PANELS if any(row.get(key) is not None for key in keys for row in rows)]
    figure = new_figure(6.8, 0.8 + 2.3 * max(1, len(panels)))
    every = figure.subplots(max(1, len(panels)), 1, sharex=True, squeeze=False)[:, 0]
    handles: list[Any] = []
    for axes, (name, keys) in zip(every, panels, strict=False):
        style(axes, "", name)
        axes.set(xlim=(0, 1), ylim=(-0.02, 1.02))
        for key, (words, ink) in keys.items():
            handles += _line(axes, ordered, key, words, ink)
        if chosen is not None:
            axes.axvline(chosen, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    every[-1].set_xlabel("Decision threshold (probability of the positive class)", color=INK, fontsize=10)
    if chosen is not None:
        words = f"threshold in use: {chosen:.3g}"
        handles.append(Line2D([], [], color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label=words))
    legend(figure, handles, columns=2)
    save(figure, path, title=title or "Decision thresholds", stamp=stamp)


def _line(axes: Axes, rows: Sequence[Mapping[str, float]], key: str, words: str, ink: str) -> list[Any]:
    """Draw one measure where it is defined; returns its legend entry, if it is anywhere."""
    points = [(row["threshold"], row[key]) for row in rows if row.get(key) is not None]
    if not points:
        return []
    x, y = zip(*points, strict=True)
    return axes.plot(x, y, linewidth=2, color=ink, label=words)
