"""The band below a heat map: scale bar, colour bar with the decision threshold, and what stripes mean."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cancernet_cli.outputs.lettering import BACKGROUND, QUIET, TEXT, fitted, font, line_size
from cancernet_cli.outputs.tile_results import FAILED, Floats

_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_LONGEST_SCALE_BAR = 0.22  # of the band's width


def draw_legend(
    width: int,
    colours: Floats,
    *,
    title: str,
    threshold: float | None,
    um_per_px: float,
    stripes: Floats | None,
) -> NDArray[np.uint8]:
    """`[h, width, 3]` uint8 RGB.

    Args:
        colours: `[n, 3]`, 0 to 255, of probabilities from 0 to 1.
        title: what the colours mean.
        threshold: marked on the colour bar; None marks nothing.
        um_per_px: of the picture above.
        stripes: `[h, w]` grey pattern of tiles that failed; None when there are none.
    """
    size = line_size(width)
    letters, small = font(size), font(round(size * 0.85))
    pad, line, bar_height = round(size * 0.8), round(size * 1.4), round(size * 1.1)
    bar_top = pad + 2 * line
    band = Image.new("RGB", (width, bar_top + bar_height + line + round(size * 0.5)), BACKGROUND)
    draw = ImageDraw.Draw(band)

    left, right = round(width * 0.42), width - pad - round(size)
    draw.text((left, pad), fitted(title, letters, width - pad - left), TEXT, letters)
    shown = colours[np.linspace(0, len(colours) - 1, right - left).round().astype(np.int64)]
    bar = np.broadcast_to(np.rint(shown).astype(np.uint8), (bar_height, right - left, 3))
    band.paste(Image.fromarray(np.ascontiguousarray(bar)), (left, bar_top))
    for tick in _TICKS:
        x = left + round(tick * (right - left - 1))
        draw.line((x, bar_top + bar_height, x, bar_top + bar_height + size // 4), QUIET)
        draw.text((x, bar_top + bar_height + size // 3), f"{tick:g}", QUIET, small, anchor="ma")
    if threshold is not None:
        _mark_threshold(draw, left, right, bar_top, bar_height, threshold, size)

    length_um = round_length_um(um_per_px, width * _LONGEST_SCALE_BAR)
    _draw_scale_bar(draw, pad, bar_top + bar_height, length_um / um_per_px, show_length(length_um), size)
    if stripes is not None:
        x = round(width * 0.30)
        swatch = np.repeat(stripes[:bar_height, : 2 * bar_height, None], 3, axis=2)
        band.paste(Image.fromarray(swatch.astype(np.uint8)), (x, bar_top))
        draw.text((x + bar_height, bar_top + bar_height + size // 3), FAILED, QUIET, small, anchor="ma")
    return np.asarray(band)


def round_length_um(um_per_px: float, room_px: float) -> float:
    """The longest of 1, 2 and 5 times a power of ten, in um, that takes no more than `room_px`."""
    room_um = um_per_px * room_px
    power = 10.0 ** math.floor(math.log10(room_um))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= room_um * (1 + 1e-9))


def show_length(length_um: float) -> str:
    """`500 um`, `2 mm`."""
    return f"{length_um:g} um" if length_um < 1000 else f"{length_um / 1000:g} mm"


def _mark_threshold(
    draw: ImageDraw.ImageDraw, left: int, right: int, top: int, height: int, threshold: float, size: int
) -> None:
    """A line through the bar, a triangle on it, and its value above."""
    x = left + round(min(max(threshold, 0.0), 1.0) * (right - left - 1))
    half = size // 3
    draw.line((x, top, x, top + height), BACKGROUND, max(1, size // 8))
    draw.polygon([(x - half, top - half - 1), (x + half, top - half - 1), (x, top - 1)], TEXT)
    letters = font(round(size * 0.85))
    text = f"threshold {threshold:.3g}"
    reach = letters.getlength(text) / 2
    middle = min(max(x, left + reach), right - reach)
    draw.text((middle, top - half - size // 4), text, TEXT, letters, anchor="ms")


def _draw_scale_bar(draw: ImageDraw.ImageDraw, left: int, bottom: int, length_px: float, text: str, size: int) -> None:
    """A line with an end stroke on each side, `length_px` from stroke to stroke, and its length below."""
    right, stroke, high = left + round(length_px), max(2, size // 7), size // 2
    draw.rectangle((left, bottom - stroke, right, bottom), TEXT)
    for x in (left, right):
        draw.rectangle((x - stroke // 2, bottom - high, x + stroke // 2, bottom), TEXT)
    letters = font(round(size * 0.85))
    reach = letters.getlength(text) / 2
    draw.text((max((left + right) / 2, left + reach), bottom + size // 3), text, TEXT, letters, anchor="ma")
