"""Reliability diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.lines import Line2D

from cancernet_cli.outputs.plots.canvas import GREY, colour, legend, new_figure, save, short, style


def plot_reliability(
    bins: Mapping[str, Sequence[Mapping[str, float]]],
    path: Path,
    *,
    title: str = "",
    stamp: str = "",
) -> None:
    """Accuracy over confidence, one line per name, above a histogram of the confidences.

    Args:
        bins: name to its bins, each with low, high, count, confidence and accuracy; empty bins are omitted. The
            calibration error in the legend is the mean distance from the diagonal, weighted by the counts.
    """
    figure = new_figure(6.4, 7.2 + 0.2 * len(bins))
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    style(axes, "", "Accuracy (fraction of images classified correctly)")
    style(below, "Confidence (probability of the most probable class)", "Images", grid="y")
    start = min((b["low"] for rows in bins.values() for b in rows), default=0.0)
    axes.set(xlim=(start - 0.01, 1.01), ylim=(-0.02, 1.02))
    axes.plot([start, 1], [start, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    handles: list[Any] = []
    for i, (name, rows) in enumerate(bins.items()):
        filled = [b for b in rows if b["count"]]
        total = sum(b["count"] for b in filled)
        sure, right = [b["confidence"] for b in filled], [b["accuracy"] for b in filled]
        axes.vlines(sure, sure, right, color=colour(i), linewidth=1, alpha=0.45)
        axes.plot(sure, right, color=colour(i), linewidth=1.6, alpha=0.85)
        most = max((b["count"] for b in filled), default=1)
        sizes = [16 + 60 * b["count"] / most for b in filled]
        axes.scatter(sure, right, s=sizes, color=colour(i), edgecolors="white", linewidths=0.8, zorder=4)
        gap = sum(b["count"] * abs(b["accuracy"] - b["confidence"]) for b in filled) / total if total else 0.0
        words = f"{short(name)}: calibration error {gap:.3f} ({total:,.0f} images)"
        handles.append(Line2D([], [], color=colour(i), marker="o", linewidth=1.6, label=words))
        width = [(b["high"] - b["low"]) / len(bins) for b in filled]
        left = [b["low"] + i * w for b, w in zip(filled, width, strict=True)]
        heights = [b["count"] for b in filled]
        below.bar(left, heights, width, align="edge", color=colour(i), edgecolor="white", linewidth=0.6)
    handles.append(
        Line2D(
            [], [], color=GREY, linewidth=1, linestyle=(0, (4, 3)), label="perfect calibration; below: overconfident"
        )
    )
    legend(figure, handles)
    save(figure, path, title=title or "Reliability", stamp=stamp)
