"""Plot a measurement: time per stage, rates and limits, and sweeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from cancernet_cli.outputs.plots.canvas import GREY, INK, colour, new_figure, save, short, style

_PANEL_INCHES = {"stages": 3.4, "rates": 1.7, "sweeps": 2.7}
_CURVES = ("batch_size", "workers")
_RATES = {
    "end to end": ("whole", "images_per_s"),
    "loader alone": ("limits", "decode_only", "images_per_s"),
    "networks alone": ("limits", "model_only", "images_per_s"),
}


def plot_bench(found: Mapping[str, Any], path: Path, *, title: str = "", stamp: str = "") -> None:
    """Plot one bar per stage, the rates with their limit, and one curve per sweep of batch size or workers.

    Args:
        found: the record written by `cancernet bench --json`.
    """
    curves = [name for name in _CURVES if _points(found, name)]
    heights = [_PANEL_INCHES[name] for name in ("stages", "rates", *(["sweeps"] if curves else []))]
    figure = new_figure(7.4, sum(heights))
    panels = figure.add_gridspec(len(heights), max(1, len(curves)), height_ratios=heights)
    _stages(figure.add_subplot(panels[0, :]), found["stages"])
    _rates(figure.add_subplot(panels[1, :]), found)
    for column, name in enumerate(curves):
        _curve(figure.add_subplot(panels[2, column]), name, _points(found, name))
    settings = found["settings"]
    words = f"{settings['model']} on {settings['device']}, {settings['precision']}"
    save(figure, path, title=title or words, stamp=stamp)


def _stages(axes: Axes, stages: Sequence[Mapping[str, Any]]) -> None:
    """One bar per measured stage, the first at the top; whiskers show minimum and maximum."""
    rows = [stage for stage in stages if stage["ms"] is not None]
    times = [stage["ms"]["median"] for stage in rows]
    slowest = max(range(len(rows)), key=times.__getitem__, default=None)
    _bars(axes, [stage["name"].replace("_", " ") for stage in rows], [stage["ms"] for stage in rows], slowest)
    for i, (stage, ms) in enumerate(zip(rows, times, strict=True)):
        share = f"  {100 * stage['share']:.0f} %" if stage["share"] is not None else ""
        words = f"  {_number(ms)} ms{share}" + (", the slowest" if i == slowest else "")
        axes.text(stage["ms"]["max"], i, words, va="center", fontsize=8.5, color=INK)
    style(axes, "Time per image in each stage, measured separately (ms)", "", grid="x")
    axes.set_xlim(0, 1.4 * max((stage["ms"]["max"] for stage in rows), default=1.0))


def _rates(axes: Axes, found: Mapping[str, Any]) -> None:
    """End to end, loader and networks; the dashed line is the limit of both together."""
    spreads = []
    for keys in _RATES.values():
        at: Any = found
        for key in keys:
            at = at[key]
        spreads.append(at)
    slower = min((1, 2), key=lambda i: spreads[i]["median"])
    _bars(axes, list(_RATES), spreads, slower)
    for i, spread in enumerate(spreads):
        words = f"  {_number(spread['median'])}" + (", the slower" if i == slower else "")
        axes.text(spread["max"], i, words, va="center", fontsize=8.5, color=INK)
    possible = found["limits"]["possible_images_per_s"]
    axes.plot([possible, possible], [-0.5, len(spreads) - 0.5], color=GREY, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.text(possible, -0.6, f"limit together {_number(possible)}", fontsize=8.5, color=INK, ha="center")
    style(axes, "Images per second", "", grid="x")
    axes.set_xlim(0, 1.25 * max(possible, *(spread["max"] for spread in spreads)))
    axes.set_ylim(len(spreads) - 0.5, -1.0)


def _bars(axes: Axes, names: Sequence[str], spreads: Sequence[Mapping[str, float]], marked: int | None = None) -> None:
    """Horizontal bars for medians, one of them in another color, with whiskers for minimum and maximum."""
    medians = [spread["median"] for spread in spreads]
    low = [median - spread["min"] for median, spread in zip(medians, spreads, strict=True)]
    high = [spread["max"] - median for median, spread in zip(medians, spreads, strict=True)]
    places = range(len(names))
    axes.barh(
        places,
        medians,
        0.62,
        xerr=[low, high],
        color=[colour(int(i == marked)) for i in places],
        error_kw={"ecolor": INK, "lw": 1.1, "capsize": 2},
    )
    axes.set_yticks(places, [short(name) for name in names])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)


def _curve(axes: Axes, name: str, points: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    """End-to-end rate at each value, with minimum and maximum; a line through three or more."""
    values = [value for value, _ in points]
    medians = [s["median"] for _, s in points]
    if len(points) > 2:  # two points show no course between them
        low, high = [s["min"] for _, s in points], [s["max"] for _, s in points]
        axes.fill_between(values, low, high, color=colour(0), alpha=0.18, linewidth=0)
        axes.plot(values, medians, color=colour(0), linewidth=2)
    spread = [[s["median"] - s["min"] for _, s in points], [s["max"] - s["median"] for _, s in points]]
    axes.errorbar(values, medians, yerr=spread, fmt="o", markersize=5, color=colour(0), elinewidth=1.1, capsize=2)
    style(axes, name.replace("_", " ").capitalize(), "Images per second")
    if name == "batch_size":
        axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(values, [str(value) for value in values])
    axes.set_ylim(0, 1.12 * max(s["max"] for _, s in points))


def _points(found: Mapping[str, Any], name: str) -> list[tuple[int, Mapping[str, float]]]:
    """Value and rate of each measured point of a sweep, in order of the values."""
    rows = found["sweeps"].get(name, [])
    return sorted(((row[name], row["images_per_s"]) for row in rows if "error" not in row), key=lambda row: row[0])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 0.01 else "< 0.01"
