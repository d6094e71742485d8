"""Text in pictures: font, colors, and captions of several lines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.text import one_line

BACKGROUND = (24, 27, 33)
TEXT = (245, 246, 248)
QUIET = (164, 171, 182)


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and has µ, ² and most alphabets, unlike Pillow's built-in font."""
    package = find_spec("matplotlib")  # found, not imported, which would take a while
    assert package is not None
    assert package.origin is not None
    return ImageFont.truetype(Path(package.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def fitted(text: str, letters: ImageFont.FreeTypeFont, room: float) -> str:
    """The text on one line, truncated with an ellipsis to `room` px."""
    text = one_line(" ".join(text.split()))
    if letters.getlength(text) <= room:
        return text
    while text and letters.getlength(text + "...") > room:
        text = text[:-1]
    return text.rstrip() + "..."


def line_size(width: int) -> int:
    """Font size for a caption of `width` px."""
    return round(min(30, max(13, width / 62)))


def text_band(width: int, lines: Sequence[str]) -> Pixels:
    """Caption with one line of text below the other, `[h, width, 3]` uint8 RGB; its font size scales with the width."""
    size = line_size(width)
    pad = round(size * 0.8)
    band = Image.new("RGB", (width, 2 * pad + round(size * 1.4) * len(lines)), BACKGROUND)
    draw = ImageDraw.Draw(band)
    for i, text in enumerate(lines):
        draw.text((pad, pad + round(size * 1.4) * i), fitted(text, font(size), width - 2 * pad), TEXT, font(size))
    return np.asarray(band)
