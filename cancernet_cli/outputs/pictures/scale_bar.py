"""Scale bars of round length."""

from __future__ import annotations

import math

from PIL import ImageDraw

from cancernet_cli.outputs.pictures.lettering import TEXT, font

_SMALL = 0.85  # size of the number relative to letters


def round_length_um(um_per_px: float, room_px: float) -> float:
    """The longest scale bar, in µm, of 1, 2 or 5 times a power of ten that fits in `room_px`."""
    room_um = um_per_px * room_px
    power = 10.0 ** math.floor(math.log10(room_um))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= room_um * (1 + 1e-9))


def show_length(length_um: float) -> str:
    """`500 µm`, `2 mm`."""
    return f"{length_um:g} µm" if length_um < 1000 else f"{length_um / 1000:g} mm"


def draw_scale_bar(
    draw: ImageDraw.ImageDraw, left: int, bottom: int, um_per_px: float, room_px: float, size: int
) -> None:
    """Draw a line of a round length with a tick at each end, and the length below it.

    Args:
        left, bottom: Of the line. room_px: What the line may not exceed. size: Of letters.
    """
    length_um = round_length_um(um_per_px, room_px)
    right, stroke, high = left + round(length_um / um_per_px), max(2, size // 7), size // 2
    draw.rectangle((left, bottom - stroke, right, bottom), TEXT)
    for x in (left, right):
        draw.rectangle((x - stroke // 2, bottom - high, x + stroke // 2, bottom), TEXT)
    letters = font(round(size * _SMALL))
    text = show_length(length_um)
    reach = letters.getlength(text) / 2
    draw.text((max((left + right) / 2, left + reach), bottom + size // 3), text, TEXT, letters, anchor="ma")
