"""Legend below a heat map: scale bar, color bar with the decision threshold, and the meaning of gray areas."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from cancernet_cli.core.arrays import F32, Pixels
from cancernet_cli.outputs.pictures.lettering import BACKGROUND, QUIET, TEXT, fitted, font, line_size
from cancernet_cli.outputs.pictures.scale_bar import draw_scale_bar

_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Fractions of the legend's width
_LONGEST_SCALE_BAR = 0.22
_PATTERNS_FROM = 0.25
_ROW = 3  # lines of text from one color bar to the next
_SMALL = 0.85  # size of numbers relative to letters


def draw_legend(
    width: int,
    scales: Mapping[str, F32],
    *,
    threshold: float | None,
    um_per_px: float,
    patterns: Mapping[str, F32],
) -> Pixels:
    """Draw the scale bar on the left and the color bars on the right.

    Args:
        width: In pixels.
        scales: Color bars by title: `[n, 3]`, 0 to 255, for probabilities from 0 to 1.
        threshold: Marked on the color bar if there is only one; None marks nothing.
        um_per_px: Resolution of the heat map.
        patterns: Gray patterns by title: `[h, w]`, 0 to 255, for tiles without a class.

    Returns:
        `[h, width, 3]` uint8 RGB.
    """
    size = line_size(width)
    pad, line, bar_height = round(size * 0.8), round(size * 1.4), round(size * 1.1)
    columns = len(scales) if len(scales) <= 3 else 2  # more would truncate the names
    rows = -(-len(scales) // columns)
    first_bar = pad + 2 * line
    height = first_bar + bar_height + line + round(size * 0.5) + (rows - 1) * _ROW * line
    band = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(band)

    left, right = round(width * 0.42), width - pad - round(size)
    gap = 2 * size
    wide = (right - left - (columns - 1) * gap) // columns
    for i, (title, colours) in enumerate(scales.items()):
        x, top = left + i % columns * (wide + gap), first_bar + i // columns * _ROW * line
        letters = font(size)
        above = top - 2 * line if len(scales) == 1 else top - line  # a single bar leaves room for its threshold
        draw.text((x, above), fitted(title, letters, wide), TEXT, letters)
        _draw_colour_bar(band, draw, (x, top, x + wide, top + bar_height), colours, size)
        if threshold is not None and len(scales) == 1:
            _mark_threshold(draw, x, x + wide, top, bar_height, threshold, size)

    draw_scale_bar(draw, pad, first_bar + bar_height, um_per_px, width * _LONGEST_SCALE_BAR, size)
    _draw_patterns(band, draw, patterns, (round(width * _PATTERNS_FROM), pad), left - size, line, size)
    return np.asarray(band)


def _draw_colour_bar(
    band: Image.Image, draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], colours: F32, size: int
) -> None:
    """Draw the colors from left to right, with ticks below."""
    left, top, right, bottom = box
    shown = colours[np.linspace(0, len(colours) - 1, right - left).round().astype(np.int64)]
    bar = np.broadcast_to(np.rint(shown).astype(np.uint8), (bottom - top, right - left, 3))
    band.paste(Image.fromarray(np.ascontiguousarray(bar)), (left, top))
    ticks = _TICKS if right - left > 16 * size else _TICKS[::2] if right - left > 6 * size else _TICKS[::4]
    for tick in ticks:
        x = left + round(tick * (right - left - 1))
        draw.line((x, bottom, x, bottom + size // 4), QUIET)
        draw.text((x, bottom + size // 3), f"{tick:g}", QUIET, font(round(size * _SMALL)), anchor="ma")


def _draw_patterns(
    band: Image.Image,
    draw: ImageDraw.ImageDraw,
    patterns: Mapping[str, F32],
    corner: tuple[int, int],
    right: int,
    line: int,
    size: int,
) -> None:
    """Draw a sample of each gray pattern, one below the other, with its title to the right of it."""
    letters = font(round(size * _SMALL))
    left, top = corner
    wide, high = round(1.4 * size), round(0.9 * size)
    for i, (title, pattern) in enumerate(patterns.items()):
        y = top + i * line
        swatch = np.repeat(pattern[:high, :wide, None], 3, axis=2)
        band.paste(Image.fromarray(swatch.astype(np.uint8)), (left, y))
        x = left + wide + size // 2
        draw.text((x, y + high / 2), fitted(title, letters, right - x), QUIET, letters, anchor="lm")


def _mark_threshold(
    draw: ImageDraw.ImageDraw, left: int, right: int, top: int, height: int, threshold: float, size: int
) -> None:
    """Draw a line through the bar, a triangle above it, and the value."""
    x = left + round(min(max(threshold, 0.0), 1.0) * (right - left - 1))
    half = size // 3
    draw.line((x, top, x, top + height), BACKGROUND, max(1, size // 8))
    draw.polygon([(x - half, top - half - 1), (x + half, top - half - 1), (x, top - 1)], TEXT)
    letters = font(round(size * _SMALL))
    text = f"threshold {threshold:.3g}"
    reach = letters.getlength(text) / 2
    middle = min(max(x, left + reach), right - reach)
    draw.text((middle, top - half - size // 4), text, TEXT, letters, anchor="ms")
