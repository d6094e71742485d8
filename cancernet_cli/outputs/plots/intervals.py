"""Forest plot of figures with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.transforms import blended_transform_factory

from cancernet_cli.outputs.plots.canvas import GREY, INK, colour, new_figure, save, short, style


def plot_intervals(
    rows: Sequence[tuple[str, float, float, float]],
    path: Path,
    *,
    measure: str,
    title: str = "",
    stamp: str = "",
    reference: float | None = None,
) -> None:
    """A forest plot: a point and its interval for each row, first row at the top, with the numbers on the right.

    Args:
        rows: name, value, low, high; low and high are NaN if there is no interval.
        measure: label of the axis.
        reference: position of a dashed line for "no better than chance", as 0.5 for an AUROC or 0 for a difference.
    """
    figure = new_figure(7.4, 1.7 + 0.36 * len(rows))
    axes = figure.add_subplot()
    style(axes, measure, "", grid="x")
    beside = blended_transform_factory(axes.transAxes, axes.transData)
    for i, (_, value, low, high) in enumerate(rows):
        has_interval = math.isfinite(low) and math.isfinite(high)
        if has_interval:
            axes.plot([low, high], [i, i], color=colour(0), linewidth=2.2, solid_capstyle="butt")
            axes.plot([low, high], [i, i], linestyle="none", marker="|", color=colour(0), markersize=8)
        axes.plot(value, i, "s", color=colour(0), markersize=7, markeredgecolor="white", zorder=4)
        words = f"{value:.3f}  ({low:.3f} to {high:.3f})" if has_interval else f"{value:.3f}  (no interval)"
        words = words.replace("-", "−")
        axes.text(1.03, i, words, transform=beside, va="center", fontsize=9, color=INK)
    if reference is not None:
        axes.axvline(reference, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(rows)), [short(name) for name, *_ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.06)
    save(figure, path, title=title, stamp=stamp)
