"""Caption below an overlay: label, percentage, probability bar, and whether the label is correct."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.choices import UNSURE
from cancernet_cli.core.figures import show_percent
from cancernet_cli.outputs.pictures.class_colours import RGB, UNSURE_COLOUR
from cancernet_cli.outputs.pictures.lettering import BACKGROUND, QUIET, TEXT, fitted, font

_BAR = (104, 172, 255)
_BAR_UNSURE = UNSURE_COLOUR
_BAR_BACK = (58, 64, 75)
_RIGHT = (92, 214, 132)
_WRONG = (255, 107, 98)


def caption_band(
    width: int,
    label: str,
    percent: float,
    true_label: str | None,
    percent_of: str = "",
    flags: Sequence[str] = (),
) -> Pixels:
    """Draw the caption; its font size scales with the width.

    Args:
        width: In pixels.
        label: A class, or `unsure`.
        percent: Probability of the label, or of `percent_of` if that is `unsure`, 0 to 100.
        true_label: None if unknown. An unsure label is neither right nor wrong.
        percent_of: Most probable class, shown if the label is `unsure`.
        flags: Listed on a separate line, with spaces for `_`.

    Returns:
        `[h, width, 3]` uint8 RGB.
    """
    size = round(min(48, max(18, width / 32)))
    pad = round(size * 0.7)
    bar_height = max(5, round(size * 0.3))
    line_height = round(size * 1.25)
    bar_top = pad + line_height + round(size * 0.35)
    height = bar_top + bar_height + pad + (line_height if flags else 0)
    band = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(band)
    middle = pad + line_height / 2
    free = float(width - 2 * pad)

    is_unsure = label == UNSURE
    share = f"{percent_of} {show_percent(percent)}" if is_unsure else show_percent(percent)
    share = fitted(share, font(size), free / 2) if is_unsure else share
    bar = _BAR_UNSURE if is_unsure else _BAR
    if true_label is not None:
        free -= _draw_truth(draw, width - pad, middle, size, true_label, label, free * 0.45) + size
    share_width = font(size).getlength(share)
    name = fitted(label, font(size), free - share_width - size * 0.5)
    draw.text((pad, middle), name, TEXT, font(size), anchor="lm")
    x = pad + font(size).getlength(name) + size * 0.5
    draw.text((x, middle), share, bar, font(size), anchor="lm")
    _draw_bar(draw, pad, bar_top, width - pad, bar_height, percent / 100, bar)
    if flags:
        letters = font(round(size * 0.78))
        words = fitted(", ".join(flags).replace("_", " "), letters, float(width - 2 * pad))
        draw.text((pad, bar_top + bar_height + (pad + line_height) / 2), words, _WRONG, letters, anchor="lm")
    return np.asarray(band)


def _draw_truth(
    draw: ImageDraw.ImageDraw, right: float, middle: float, size: int, true_label: str, label: str, room: float
) -> float:
    """Draw the true label, with a check mark or a cross unless unsure, ending at `right`; return the width used."""
    letters = font(round(size * 0.78))
    mark = size * 0.8
    text = fitted(f"true label: {true_label}", letters, room - mark * 1.5)
    if label == UNSURE:
        draw.text((right, middle), text, QUIET, letters, anchor="rm")
        return float(letters.getlength(text))
    _draw_mark(draw, right - mark / 2, middle, mark, label == true_label)
    draw.text((right - mark * 1.5, middle), text, QUIET, letters, anchor="rm")
    return float(letters.getlength(text) + mark * 1.5)


def _draw_mark(draw: ImageDraw.ImageDraw, x: float, y: float, size: float, is_right: bool) -> None:
    """Draw a check mark or a cross in a disc of `size` px; the font has neither."""
    scale = 8  # Pillow does not antialias: draw large, then shrink
    n = math.ceil(size) * scale
    disc = Image.new("L", (n, n))
    pen = ImageDraw.Draw(disc)
    pen.ellipse((0, 0, n - 1, n - 1), fill=255)
    stroke = round(n * 0.12)
    if is_right:
        pen.line([(n * 0.26, n * 0.53), (n * 0.43, n * 0.70), (n * 0.74, n * 0.33)], 0, stroke, joint="curve")
    else:
        for start, end in (((0.32, 0.32), (0.68, 0.68)), ((0.32, 0.68), (0.68, 0.32))):
            pen.line([(n * start[0], n * start[1]), (n * end[0], n * end[1])], 0, stroke)
    small = disc.resize((n // scale, n // scale), Image.Resampling.LANCZOS)
    draw.bitmap((round(x - size / 2), round(y - size / 2)), small, _RIGHT if is_right else _WRONG)


def _draw_bar(
    draw: ImageDraw.ImageDraw, left: int, top: int, right: int, height: int, share: float, colour: RGB
) -> None:
    """Draw a rounded bar, filled up to `share`."""
    draw.rounded_rectangle((left, top, right, top + height), height / 2, _BAR_BACK)
    filled = left + (right - left) * min(max(share, 0.0), 1.0)
    if filled - left >= height:
        draw.rounded_rectangle((left, top, filled, top + height), height / 2, colour)
