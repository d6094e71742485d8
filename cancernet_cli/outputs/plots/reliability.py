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
    probability: str = "probability of the most probable class",
    share: str = "Fraction classified correctly",
    notes: Mapping[str, str] | None = None,
) -> None:
    """Observed share over predicted probability, one point per bin with its interval, above a histogram.

    Both axes run from 0 to 1, so that the diagonal, perfect calibration, is one.

    Args:
        bins: Name to its bins, each with low, high, count, mean `predicted` probability, `observed` share, and the
            interval of the share, `observed_low` and `observed_high` (`metrics.calibration.quantile_bins`).
        probability, share: What the axes show.
        notes: Name to what the legend adds, such as the calibration error.
    """
    figure = new_figure(6.0, 7.6 + 0.2 * len(bins))
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
    style(axes, "", share)
    style(below, f"Predicted {probability}", "Images", grid="y")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    handles: list[Any] = []
    for i, (name, rows) in enumerate(bins.items()):
        total = sum(b["count"] for b in rows)
        x, y = [b["predicted"] for b in rows], [b["observed"] for b in rows]
        whiskers = [
            [b["observed"] - b["observed_low"] for b in rows],
            [b["observed_high"] - b["observed"] for b in rows],
        ]
        if rows:
            axes.plot(x, y, color=colour(i), linewidth=0.9, alpha=0.5)
            axes.errorbar(x, y, yerr=whiskers, fmt="o", color=colour(i), markersize=6, elinewidth=1.4, capsize=2.5)
            width = [b["high"] - b["low"] for b in rows]
            # The area of a bar is the number of images: bins of equal counts differ in width
            heights = [b["count"] / max(w, 0.01) / 100 for b, w in zip(rows, width, strict=True)]
            left = [b["low"] for b in rows]
            below.bar(left, heights, [max(w, 0.004) for w in width], align="edge", color=colour(i), alpha=0.6, lw=0)
        more = f", {notes[name]}" if notes and name in notes else ""
        words = f"{short(name)}: {total:,.0f} in {len(rows)} bins of about equal size{more}"
        handles.append(Line2D([], [], color=colour(i), marker="o", linewidth=1, label=words))
    below.set_ylabel("Images\nper 1 %", fontsize=9)
    diagonal = Line2D([], [], color=GREY, linewidth=1, linestyle=(0, (4, 3)), label="perfect calibration")
    whisker = Line2D([], [], color=GREY, linewidth=1.4, label="Wilson 95 % interval, as if images were independent")
    legend(figure, [*handles, diagonal, whisker])
    save(figure, path, title=title or "Reliability", stamp=stamp)
