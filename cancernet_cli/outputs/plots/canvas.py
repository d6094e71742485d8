"""Shared by all plots: size, colours, axes, the stamp and the file."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

from cancernet_cli.core.files import atomic_write
from cancernet_cli.core.text import one_line

DPI = 150
# Okabe and Ito's palette, which colour-blind readers can distinguish; its yellow is too pale for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#7A5195")
GREY, INK, RED = "#8A8A8A", "#222222", "#C1121F"
_PAD = 0.09  # inches around the axes
_TITLE_CHARACTERS = 62  # of the title's size, on a plot 6.4 inches wide


def new_figure(width: float = 6.4, height: float = 5.6) -> Figure:
    """An empty figure, in inches, without pyplot's global state."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def style(axes: Axes, x: str, y: str, *, grid: str = "both") -> None:
    """Labels, a faint grid behind the data (`both`, `x`, `y` or `none`), no frame at the top and the right."""
    axes.set_xlabel(x, color=INK, fontsize=10)
    axes.set_ylabel(y, color=INK, fontsize=10)
    axes.tick_params(colors=INK, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.set_axisbelow(True)
    if grid != "none":
        axes.grid(True, axis=grid, color="#E6E6E6", linewidth=0.8)  # type: ignore[arg-type]


def colour(i: int) -> str:
    """The colour of the i-th of several series; they repeat after eight."""
    return COLOURS[i % len(COLOURS)]


def legend(figure: Figure, handles: list[Any], *, columns: int = 1) -> None:
    """A legend below the axes, so that it covers no data."""
    if handles:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9, labelcolor=INK
        )


def mark_threshold(axes: Axes, x: float, y: float, threshold: float, words: str, of: str) -> Line2D:
    """Mark the point of a curve of colour `of` at a decision threshold; returns its legend entry."""
    axes.plot(x, y, "o", color=of, markersize=9, markeredgecolor="white", zorder=5)
    return Line2D([], [], linestyle="none", marker="o", color=of, label=f"threshold {threshold:.3g}: {words}")


def short(name: str, most: int = 40) -> str:
    """A name shortened to one line of a legend, with `$` escaped, which would start a formula."""
    line = one_line(" ".join(name.split()))
    return _plain(line if len(line) <= most else f"{line[: most - 1]}…")


def save(figure: Figure, path: Path, *, title: str, stamp: str) -> None:
    """Add the title and the stamp above the axes, and write the PNG, the same bytes for the same figure.

    Raises:
        OutputError: the file cannot be written.
    """
    width, height = map(float, figure.get_size_inches())
    titles = textwrap.wrap(_plain(title), int(_TITLE_CHARACTERS * width / 6.4))
    stamps = textwrap.wrap(_plain(stamp), int(11 * width))
    title_inches = 0.12 + 0.2 * len(titles) if titles else 0.0
    stamp_inches = 0.12 + 0.2 * len(stamps) if stamps else 0.0
    figure.set_size_inches(width, height + title_inches + stamp_inches)
    whole = height + title_inches + stamp_inches
    if titles:
        heading = figure.text(0.5, (height + title_inches / 2) / whole, "\n".join(titles), color=INK, fontsize=12)
        heading.set(fontweight="bold", ha="center", va="center", in_layout=False)
    if stamps:
        _stamp(figure, stamps, stamp.split(":")[0], stamp_inches / whole)
    room = (0, 0, 1, height / whole)
    figure.get_layout_engine().set(rect=room, w_pad=_PAD, h_pad=_PAD)  # type: ignore[union-attr, call-arg]
    drawn = FigureCanvasAgg(figure)
    drawn.draw()  # type: ignore[no-untyped-call]
    # Not savefig, which draws twice and writes its version into the file. A plot has few colours: with a palette the
    # file is a third as large, and looks the same.
    pixels = np.asarray(drawn.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    picture = Image.fromarray(np.ascontiguousarray(pixels)).quantize(256, dither=Image.Dither.NONE)
    with atomic_write(path, durable=False) as temporary:
        picture.save(temporary, format="PNG", optimize=True, dpi=(DPI, DPI))


def _plain(words: str) -> str:
    """Text with `$` escaped."""
    return one_line(" ".join(words.split())).replace("$", r"\$")


def _stamp(figure: Figure, lines: list[str], across: str, band: float) -> None:
    """A red band with the lines at the top, as high as this share of the figure, and across the data uncroppable."""
    width, height = map(float, figure.get_size_inches())
    figure.add_artist(Rectangle((0, 1 - band), 1, band, transform=figure.transFigure, facecolor=RED, edgecolor="none"))
    written = figure.text(0.5, 1 - band / 2, "\n".join(lines), color="white", fontsize=11, fontweight="bold")
    free = height * (1 - band)
    across = textwrap.shorten(_plain(across), 28, placeholder=" …")
    watermark = figure.text(0.5, (1 - band) / 2, across, color=RED, alpha=0.3, fontweight="bold")
    longest_pt = 0.8 * 72 * math.hypot(width, free) / (0.75 * len(across))  # a capital is 0.75 em wide
    watermark.set(fontsize=min(longest_pt, 0.2 * 72 * free))
    watermark.set_rotation(math.degrees(math.atan2(0.7 * free, width)))
    for text in (written, watermark):
        text.set(ha="center", va="center", in_layout=False)
