"""Caption below an overlay: label, percentage, probability bar, whether the label is correct, and a legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.choices import UNSURE
from cancernet_cli.core.figures import show_percent
from cancernet_cli.outputs.pictures.class_colours import RGB, UNSURE_COLOUR
from cancernet_cli.outputs.pictures.lettering import BACKGROUND, QUIET, TEXT, fitted, font
from cancernet_cli.outputs.pictures.scale_bar import draw_scale_bar

DISCLAIMER = "Research use only: not for diagnosis."
_BAR = (104, 172, 255)
_BAR_UNSURE = UNSURE_COLOUR
_BAR_BACK = (58, 64, 75)
_RIGHT = (92, 214, 132)
_WRONG = (255, 107, 98)
_SCALE_BAR = 0.25  # its longest, as a fraction of the width
_SMALL = 0.7  # size of the legend's letters relative to the label's


@dataclass(frozen=True)
class Legend:
    """What a caption says of the picture in addition to the prediction; empty parts are omitted.

    contour: Of what the line in `line` colors is the contour. threshold: Where the label turns, on the bar of the shown
    class, 0 to 1. unsure: Between which of its probabilities the label is `unsure`. model: Its name. um_per_px: Of the
    picture, for a scale bar.
    """

    contour: str = ""
    line: RGB = TEXT
    threshold: float | None = None
    unsure: tuple[float, float] | None = None
    model: str = ""
    um_per_px: float | None = None

    @property
    def rows(self) -> int:
        """The number of lines of text."""
        return int(bool(self.contour or self.threshold is not None or self.um_per_px)) + int(bool(self.model))


def caption_band(
    width: int,
    label: str,
    percent: float,
    true_label: str | None,
    percent_of: str = "",
    flags: Sequence[str] = (),
    *,
    colour: RGB = _BAR,
    legend: Legend = Legend(),
) -> Pixels:
    """Draw the caption; its font size scales with the width.

    Args:
        width: In pixels.
        label: A class, or `unsure`.
        percent: Probability of the label, or of `percent_of` if that is `unsure`, 0 to 100.
        true_label: None if unknown. An unsure label is neither right nor wrong.
        percent_of: Most probable class, shown if the label is `unsure`.
        flags: Listed on a separate line, with spaces for `_`.
        colour: Of the label's bar; that of an unsure label is gray.

    Returns:
        `[h, width, 3]` uint8 RGB.
    """
    size = round(min(48, max(18, width / 32)))
    pad = round(size * 0.7)
    bar_height = max(5, round(size * 0.3))
    line_height, small_line = round(size * 1.25), round(size * 1.05)
    bar_top = pad + line_height + round(size * 0.35)
    below_bar = bar_top + bar_height + (pad // 2 if flags or legend.rows else 0)
    height = below_bar + (line_height if flags else 0) + small_line * legend.rows + pad
    band = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(band)

    is_unsure = label == UNSURE
    share = f"{percent_of} {show_percent(percent)}" if is_unsure else show_percent(percent)
    bar = _BAR_UNSURE if is_unsure else colour
    _draw_label(draw, (width, pad, line_height, size), label, share, true_label, bar)
    box = (pad, bar_top, width - pad, bar_height)
    _draw_bar(draw, box, percent / 100, bar, legend)
    if flags:
        letters = font(round(size * 0.78))
        words = fitted("flags: " + ", ".join(flags).replace("_", " "), letters, float(width - 2 * pad))
        draw.text((pad, below_bar + line_height / 2), words, _WRONG, letters, anchor="lm")
        below_bar += line_height
    _draw_legend(draw, legend, (width, pad, below_bar, small_line), round(size * _SMALL))
    return np.asarray(band)


def _draw_label(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int, int, int],
    label: str,
    share: str,
    true_label: str | None,
    colour: RGB,
) -> None:
    """Draw label and percentage on the left, and the true label on the right; place: width, pad, line height, size."""
    width, pad, line_height, size = place
    middle = pad + line_height / 2
    free = float(width - 2 * pad)
    share = fitted(share, font(size), free / 2) if label == UNSURE else share
    if true_label is not None:
        free -= _draw_truth(draw, width - pad, middle, size, true_label, label, free * 0.45) + size
    share_width = font(size).getlength(share)
    name = fitted(label, font(size), free - share_width - size * 0.5)
    draw.text((pad, middle), name, TEXT, font(size), anchor="lm")
    x = pad + font(size).getlength(name) + size * 0.5
    draw.text((x, middle), share, colour, font(size), anchor="lm")


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
    """Draw a check mark or a cross in a disc of `size` px; letters would be too thin."""
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
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], share: float, colour: RGB, legend: Legend
) -> None:
    """Draw a rounded bar, filled up to `share`; box: left, top, right, height.

    A line below it covers the probabilities of an unsure label, and a tick through it is the threshold.
    """
    left, top, right, height = box
    draw.rounded_rectangle((left, top, right, top + height), height / 2, _BAR_BACK)
    filled = left + (right - left) * min(max(share, 0.0), 1.0)
    if filled - left >= height:
        draw.rounded_rectangle((left, top, filled, top + height), height / 2, colour)
    if legend.unsure is not None:
        low, high = (left + (right - left) * min(max(end, 0.0), 1.0) for end in legend.unsure)
        draw.rectangle((low, top + height + 1, high, top + height + max(2, height // 3)), _BAR_UNSURE)
    if legend.threshold is not None:
        _draw_tick(draw, left + (right - left) * min(max(legend.threshold, 0.0), 1.0), top, height)


def _draw_tick(draw: ImageDraw.ImageDraw, x: float, top: int, height: int) -> None:
    """Draw a white line with dark sides through a bar, and beyond it by a third of its height."""
    beyond, half = max(2, height // 3), max(1, height // 5)
    draw.rectangle((x - 2 * half, top - beyond, x + 2 * half, top + height + beyond), BACKGROUND)
    draw.rectangle((x - half, top - beyond, x + half - 1, top + height + beyond), TEXT)


def _draw_legend(draw: ImageDraw.ImageDraw, legend: Legend, place: tuple[int, int, int, int], size: int) -> None:
    """Draw what contour and tick mean, the scale bar, and the model; place: width, pad, top and line height."""
    width, pad, top, line_height = place
    letters = font(size)
    x, middle, room = float(pad), top + line_height / 2, width - 2.0 * pad
    if legend.um_per_px:
        longest = width * _SCALE_BAR
        bottom = top + round(line_height * 0.35)
        draw_scale_bar(draw, round(width - pad - longest), bottom, legend.um_per_px, longest, size)
        room -= longest + size
    if legend.contour:
        draw.line((x, middle, x + 1.6 * size, middle), legend.line, max(2, size // 5))
        x += 2.1 * size
        words = fitted(legend.contour, letters, pad + room - x)
        draw.text((x, middle), words, QUIET, letters, anchor="lm")
        x += letters.getlength(words) + 1.5 * size
    if legend.threshold is not None:
        words = f"threshold {show_percent(100 * legend.threshold)}"
        if letters.getlength(words) + size <= pad + room - x:
            _draw_tick(draw, x + size * 0.3, round(middle - size * 0.3), round(size * 0.6))
            draw.text((x + size, middle), words, QUIET, letters, anchor="lm")
            x += size + letters.getlength(words) + 1.5 * size
    if legend.unsure is not None:
        low, high = (show_percent(100 * end) for end in legend.unsure)
        words = f"unsure {low} to {high}"
        if letters.getlength(words) + 2 * size <= pad + room - x:
            draw.line((x, middle, x + 1.6 * size, middle), _BAR_UNSURE, max(2, size // 5))
            draw.text((x + 2.1 * size, middle), words, QUIET, letters, anchor="lm")
    if legend.model:
        has_first = bool(legend.contour or legend.threshold is not None or legend.um_per_px)
        words = fitted(f"{legend.model}. {DISCLAIMER}", letters, room)
        draw.text((pad, middle + (line_height if has_first else 0)), words, QUIET, letters, anchor="lm")
