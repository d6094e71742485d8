"""Accuracy, loss or Dice per epoch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from cancernet_cli.core.arrays import F64
from cancernet_cli.outputs.plots.canvas import INK, colour, legend, new_figure, save, short, style

Row = Mapping[str, float | None]

_FOLD = re.compile(r"(?:^|[\s_:,/-]+)fold[\s_-]*\d+$", re.IGNORECASE)
_AXES = {"accuracy": "Accuracy (share of images)", "loss": "Loss", "dice": "Dice coefficient"}
_STEEP = 8  # times the median loss
_SIDES = {"train": ("training", "-"), "validation": ("validation", (0, (4, 2)))}


def plot_history(
    runs: Mapping[str, Sequence[Row]],
    path: Path,
    *,
    measure: Literal["accuracy", "loss", "dice"],
    title: str = "",
    stamp: str = "",
) -> None:
    """A measure per epoch, training solid and validation dashed, one color per run, the best validation epoch marked.

    Runs whose names end in a fold (`fold_0`, `VGG fold 3`) belong together: they share a color, each is a thin line,
    and their mean is thick, as far as half of them were trained.

    Args:
        runs: a run's name to its rows, each with `epoch` and any of train_loss, train_accuracy, validation_loss,
            validation_accuracy and validation_dice; None where a figure does not exist.
    """
    plot_histories({"": runs}, path, measure=measure, title=title, stamp=stamp)


def plot_histories(
    panels: Mapping[str, Mapping[str, Sequence[Row]]],
    path: Path,
    *,
    measure: Literal["accuracy", "loss", "dice"],
    title: str = "",
    stamp: str = "",
) -> None:
    """`plot_history` in panels side by side with equal axes; a run has the same color in all of them.

    Args:
        panels: A panel's title to its runs.
    """
    grouped = {name: _grouped(runs) for name, runs in panels.items()}
    names = list(dict.fromkeys(name for groups in grouped.values() for name in groups))
    figure = new_figure(7.0 if len(panels) < 2 else 5.2 * len(panels), 5.2 + 0.2 * ((len(names) + 1) // 2))
    every = figure.subplots(1, max(1, len(panels)), sharey=True, sharex=True, squeeze=False)[0]
    handles: dict[str, Any] = {}
    sides: dict[str, Any] = {}
    values: list[F64] = []
    for axes, (heading, groups) in zip(every, grouped.items(), strict=False):
        style(axes, "Epoch", _AXES[measure] if axes is every[0] else "")
        axes.set_title(short(heading), fontsize=10, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        for name, folds in groups.items():
            ink = colour(names.index(name))
            handles[name] = Line2D([], [], color=ink, linewidth=2.4, label=_words(name, len(folds)))
            for side, (side_words, line) in _SIDES.items():
                curves = [c for c in (_curve(rows, f"{side}_{measure}") for rows in folds) if len(c)]
                if not curves:
                    continue
                values.append(np.concatenate(curves)[:, 1])
                mean = _draw(axes, curves, ink, line)
                sides[side] = Line2D([], [], color=INK, linewidth=1.6, linestyle=line, label=side_words)  # type: ignore[arg-type]
                if side == "validation" and len(mean) > 1:
                    sides["best"] = _mark_best(axes, mean, ink, lowest=measure == "loss")
    _set_range(every[0], np.concatenate(values) if values else np.zeros(0), measure)
    order = [sides[side] for side in (*_SIDES, "best") if side in sides]
    legend(figure, [*handles.values(), *order], columns=2 if len(panels) < 2 else 4)
    save(figure, path, title=title or f"{measure.capitalize()} per epoch", stamp=stamp)


def _grouped(runs: Mapping[str, Sequence[Row]]) -> dict[str, list[Sequence[Row]]]:
    """The folds of each run, by its name without the fold."""
    groups: dict[str, list[Sequence[Row]]] = {}
    for name, rows in runs.items():
        groups.setdefault(_FOLD.sub("", name), []).append(rows)
    return groups


def _words(name: str, folds: int) -> str:
    """The legend's entry of a run."""
    if folds < 2:
        return short(name) if name else "run"
    return f"{short(name)} (mean of {folds} folds)" if name else f"mean of {folds} folds"


def _mark_best(axes: Axes, curve: F64, ink: str, *, lowest: bool) -> Line2D:
    """Circle the best epoch of a curve, and write its number; returns the legend's entry."""
    epoch, best = curve[int(curve[:, 1].argmin() if lowest else curve[:, 1].argmax())]
    look: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 9, "markerfacecolor": "none"}
    axes.plot(epoch, best, color=ink, markeredgewidth=1.8, zorder=5, **look)
    axes.annotate(
        f"{epoch:.0f}",
        (epoch, best),
        (0, -12 if lowest else 7),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        color=ink,
    )
    return Line2D([], [], color=INK, label="best epoch in validation", **look)


def _set_range(axes: Axes, values: F64, measure: str) -> None:
    """Shares from 0 to 1; losses from 0, or on a logarithmic axis if a few are so high that the others look flat."""
    if measure != "loss":
        axes.set_ylim(-0.01, 1.01)
    elif len(values) and values.min() > 0 and values.max() > _STEEP * np.median(values):
        axes.set_yscale("log")
        axes.set_ylabel(f"{_AXES['loss']} (logarithmic)")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif len(values):
        axes.set_ylim(bottom=min(0.0, float(values.min())))


def _curve(rows: Sequence[Row], key: str) -> F64:
    """`[E, 2]`: the epochs in which the figure exists, and its values."""
    points = [(row["epoch"], row[key]) for row in rows if row.get(key) is not None]
    return np.array(sorted(points), dtype=np.float64).reshape(-1, 2)


def _draw(axes: Axes, curves: list[F64], ink: str, line: Any) -> F64:
    """One thick line, or thin ones and their thick mean; returns the thick one, `[E, 2]`."""
    if len(curves) > 1:
        for curve in curves:
            axes.plot(*curve.T, color=ink, linewidth=0.7, linestyle=line, alpha=0.4)
        curves = [_mean(curves)]
    (curve,) = curves
    marker = "o" if len(curve) == 1 else None  # a line of one point would not be seen
    axes.plot(*curve.T, color=ink, linewidth=2, linestyle=line, marker=marker)
    return curve


def _mean(curves: list[F64]) -> F64:
    """Mean over the runs that reached an epoch, while at least half of them did."""
    points = np.concatenate(curves)
    epochs, at = np.unique(points[:, 0], return_inverse=True)
    n = np.bincount(at.reshape(-1))
    means = np.bincount(at.reshape(-1), points[:, 1]) / n
    enough = 2 * n >= len(curves)
    return np.column_stack([epochs[enough], means[enough]])
