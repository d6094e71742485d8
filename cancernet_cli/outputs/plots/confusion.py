"""The confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from cancernet_cli.outputs.plots.canvas import INK, new_figure, save, short, style

_MOST_WITH_NUMBERS = 16


def plot_confusion(
    matrix: ArrayLike,
    classes: Sequence[str],
    path: Path,
    *,
    title: str = "",
    stamp: str = "",
) -> None:
    """Counts and row shares, true classes in rows; the colour is the row share. Numbers up to 16 classes.

    Args:
        matrix: `[K, K]` int, true by predicted.
        classes: K names.
    """
    counts = np.asarray(matrix, dtype=np.int64)
    k = len(classes)
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    side = float(np.clip(2.2 + 0.95 * k, 4.4, 11))
    figure = new_figure(side + 1.2, side)
    axes = figure.add_subplot()
    style(axes, "Predicted class", "True class", grid="none")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    names = [short(name, 24) for name in classes]
    tilted = max(map(len, names), default=0) * k > 40
    axes.set_xticks(range(k), names, rotation=40 if tilted else 0, ha="right" if tilted else "center")
    axes.set_yticks(range(k), [f"{name}\n(n = {n:,})" for name, n in zip(names, rows[:, 0].tolist(), strict=True)])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(k - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(k - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    size = 16 if k <= 3 else 12 if k <= 6 else 10 if k <= 10 else 7
    for (i, j), n in np.ndenumerate(counts) if k <= _MOST_WITH_NUMBERS else ():
        ink = "white" if shares[i, j] > 0.55 else INK
        axes.text(j, i, f"{n:,}", ha="center", va="bottom", color=ink, fontsize=size, fontweight="bold")
        share = f"{100 * shares[i, j]:.1f} %" if rows[i, 0] else "–"
        axes.text(j, i + 0.06, share, ha="center", va="top", color=ink, fontsize=0.75 * size)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, ticks=[0, 0.25, 0.5, 0.75, 1])
    bar.ax.set_yticklabels(["0 %", "25 %", "50 %", "75 %", "100 %"], fontsize=9, color=INK)
    bar.set_label("Share of the true class", color=INK, fontsize=9)
    bar.outline.set_visible(False)
    save(figure, path, title=title or "Confusion matrix", stamp=stamp)
