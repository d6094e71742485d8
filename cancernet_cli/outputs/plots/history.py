"""Accuracy, loss or Dice per epoch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cancernet_cli.core.arrays import F64
from cancernet_cli.outputs.plots.canvas import INK, colour, legend, new_figure, save, short, style

Row = Mapping[str, float | None]

_FOLD = re.compile(r"(?:^|[\s_:,/-]+)fold[\s_-]*\d+$", re.IGNORECASE)
_AXES = {"accuracy": "Accuracy (share of images)", "loss": "Loss", "dice": "Dice coefficient"}
_SIDES = {"train": ("training", "-"), "validation": ("validation", (0, (4, 2)))}


def plot_history(
    runs: Mapping[str, Sequence[Row]],
    path: Path,
    *,
    measure: Literal["accuracy", "loss", "dice"],
    title: str = "",
    stamp: str = "",
) -> None:
    """A measure per epoch, training solid and validation dashed, one colour per run.

    Runs whose names end in a fold (`fold_0`, `VGG fold 3`) belong together: they share a colour, each is a thin line,
    and their mean is thick, as far as half of them were trained.

    Args:
        runs: a run's name to its rows, each with `epoch` and any of train_loss, train_accuracy, validation_loss,
            validation_accuracy and validation_dice; None where a figure does not exist.
    """
    groups: dict[str, list[Sequence[Row]]] = {}
    for name, rows in runs.items():
        groups.setdefault(_FOLD.sub("", name), []).append(rows)
    figure = new_figure(7.0, 5.2 + 0.2 * ((len(groups) + 1) // 2))
    axes = figure.add_subplot()
    style(axes, "Epoch", _AXES[measure])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    handles: list[Any] = []
    sides: dict[str, Line2D] = {}
    for i, (name, folds) in enumerate(groups.items()):
        words = short(name) if name else "mean" if len(folds) > 1 else "run"
        words += f" of {len(folds)} folds" if not name and len(folds) > 1 else ""
        words += f" (mean of {len(folds)} folds)" if name and len(folds) > 1 else ""
        handles.append(Line2D([], [], color=colour(i), linewidth=2.4, label=words))
        for side, (side_words, line) in _SIDES.items():
            curves = [c for c in (_curve(rows, f"{side}_{measure}") for rows in folds) if len(c)]
            if curves:
                _draw(axes, curves, colour(i), line)
                sides[side] = Line2D([], [], color=INK, linewidth=1.6, linestyle=line, label=side_words)  # type: ignore[arg-type]
    if measure != "loss":
        axes.set_ylim(top=min(1.01, axes.get_ylim()[1]))
    else:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    legend(figure, [*handles, *sides.values()], columns=2)
    save(figure, path, title=title or f"{measure.capitalize()} per epoch", stamp=stamp)


def _curve(rows: Sequence[Row], key: str) -> F64:
    """`[E, 2]`: the epochs in which the figure exists, and its values."""
    points = [(row["epoch"], row[key]) for row in rows if row.get(key) is not None]
    return np.array(sorted(points), dtype=np.float64).reshape(-1, 2)


def _draw(axes: Axes, curves: list[F64], ink: str, line: Any) -> None:
    """One thick line, or thin ones and their thick mean."""
    if len(curves) > 1:
        for curve in curves:
            axes.plot(*curve.T, color=ink, linewidth=0.7, linestyle=line, alpha=0.4)
        curves = [_mean(curves)]
    (curve,) = curves
    marker = "o" if len(curve) == 1 else None  # a line of one point would not be seen
    axes.plot(*curve.T, color=ink, linewidth=2, linestyle=line, marker=marker)


def _mean(curves: list[F64]) -> F64:
    """Mean over the runs that reached an epoch, while at least half of them did."""
    points = np.concatenate(curves)
    epochs, at = np.unique(points[:, 0], return_inverse=True)
    n = np.bincount(at.reshape(-1))
    means = np.bincount(at.reshape(-1), points[:, 1]) / n
    enough = 2 * n >= len(curves)
    return np.column_stack([epochs[enough], means[enough]])
