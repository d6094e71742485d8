"""Forest plot of figures with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.lines import Line2D
from matplotlib.transforms import blended_transform_factory

from cancernet_cli.outputs.plots.canvas import GREY, INK, colour, legend, new_figure, save, short, style


class Row(NamedTuple):
    """A row of the plot.

    low, high: NaN if there is no interval. note: In small letters below the name, such as the number of images. group:
    Decides the color; markers of the second group and later ones are open. starts_block: Leaves a gap above.
    """

    name: str
    value: float
    low: float
    high: float
    note: str = ""
    group: int = 0
    starts_block: bool = False


def plot_intervals(
    rows: Sequence[Row | tuple[str, float, float, float]],
    path: Path,
    *,
    measure: str,
    title: str = "",
    stamp: str = "",
    reference: float | None = None,
    groups: Sequence[str] = (),
) -> None:
    """A forest plot: a point and its interval for each row, first row at the top, with the numbers on the right.

    Args:
        rows: The first four values of a `Row` at least.
        measure: label of the axis.
        reference: position of a dashed line for "no better than chance", as 0.5 for an AUROC or 0 for a difference.
        groups: What the groups of rows are, for a legend.
    """
    filled = [Row(*row) for row in rows]
    places: list[float] = []
    for row in filled:
        places.append(places[-1] + (1.5 if row.starts_block else 1.0) if places else 0.0)
    last = places[-1] if places else 0.0
    each = 0.46 if any(row.note for row in filled) else 0.36
    figure = new_figure(7.8, 1.7 + each * (last + 1) + 0.2 * len(groups))
    axes = figure.add_subplot()
    style(axes, measure, "", grid="x")
    beside = blended_transform_factory(axes.transAxes, axes.transData)
    for place, row in zip(places, filled, strict=True):
        ink, has_interval = colour(row.group), math.isfinite(row.low) and math.isfinite(row.high)
        if has_interval:
            axes.plot([row.low, row.high], [place, place], color=ink, linewidth=2.2, solid_capstyle="butt")
            axes.plot([row.low, row.high], [place, place], linestyle="none", marker="|", color=ink, markersize=8)
        axes.plot(row.value, place, zorder=4, **_marker(row.group))
        words = f"{row.value:.3f}  ({row.low:.3f} to {row.high:.3f})" if has_interval else f"{row.value:.3f}"
        words = (words if has_interval else f"{words}  (no interval)").replace("-", "−")
        axes.text(1.03, place, words, transform=beside, va="center", fontsize=9, color=INK)
        lift = 0.16 if row.note else 0.0
        axes.text(-0.02, place - lift, short(row.name), transform=beside, ha="right", va="center", fontsize=9)
        axes.text(-0.02, place + 0.22, short(row.note), transform=beside, ha="right", va="center", size=7, color=GREY)
    if reference is not None:
        axes.axvline(reference, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_yticks(places, [""] * len(places))
    axes.set_ylim(last + 0.6, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.06)
    legend(figure, [Line2D([], [], label=name, **_marker(i)) for i, name in enumerate(groups)], columns=len(groups))
    save(figure, path, title=title, stamp=stamp)


def _marker(group: int) -> dict[str, Any]:
    """A filled square for the first group, an open circle for others."""
    if group == 0:
        return {"marker": "s", "color": colour(0), "markersize": 7, "markeredgecolor": "white", "linestyle": "none"}
    filling = {"markerfacecolor": "white", "markeredgecolor": colour(group), "markeredgewidth": 1.8}
    return {"marker": "o", "markersize": 7, "linestyle": "none", **filling}
