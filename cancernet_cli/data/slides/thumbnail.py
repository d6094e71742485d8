"""A small picture of a whole slide, in memory that does not grow with the slide."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from cancernet_cli.core.arrays import Bools, Pixels
from cancernet_cli.data.slides.base import Slide, UnreadableSlide, level_for

_BLOCK_PX = 2048
_LEAST_PX = 128  # of a level: about half a tile of a file

_Block = tuple[int, int, int, int]  # left, top, columns, rows of the thumbnail


@dataclass(frozen=True)
class Thumbnail:
    """A slide shrunk by a whole factor from one of its levels.

    pixels: `[h, w, 3]` uint8 RGB; the last row and column may hold white from beyond the slide. downsample: pixels of
    level 0 that one of its pixels is wide, the same in both directions. unreadable: `[h, w]` bool, where the slide's
    pixels cannot be decoded; white in `pixels`.
    """

    pixels: Pixels
    downsample: float
    unreadable: Bools

    def without_pixels(self) -> Thumbnail:
        """Its scale alone; the pictures are empty."""
        return replace(self, pixels=self.pixels[:0, :0], unreadable=self.unreadable[:0, :0])


def make_thumbnail(slide: Slide, *, downsample: float) -> Thumbnail:
    """The slide shrunk by about `downsample`: means over whole squares of pixels of the nearest finer level.

    Raises:
        UnreadableSlide: not one of its blocks can be decoded.
    """
    at = level_for(slide, downsample)
    level = slide.levels[at]
    factor = max(1, round(downsample / level.downsample))
    width, height = -(-level.width_px // factor), -(-level.height_px // factor)
    pixels = np.full((height, width, 3), 255, np.uint8)
    unreadable = np.zeros((height, width), np.bool_)
    step = max(1, _BLOCK_PX // factor)
    failed: UnreadableSlide | None = None
    waiting = [
        (left, top, min(step, width - left), min(step, height - top))
        for top in range(0, height, step)
        for left in range(0, width, step)
    ]
    while waiting:
        left, top, columns, rows = block = waiting.pop()
        here = slice(top, top + rows), slice(left, left + columns)
        try:
            found = slide.read_level(at, left * factor, top * factor, columns * factor, rows * factor)
        except UnreadableSlide as error:
            failed = failed or error
            unreadable[here] = True
            waiting += _quarters(block, least=max(1, _LEAST_PX // factor))
            continue
        unreadable[here] = False
        pixels[here] = cv2.resize(found, (columns, rows), interpolation=cv2.INTER_AREA)
    if failed is not None and unreadable.all():
        raise failed
    return Thumbnail(pixels, level.downsample * factor, unreadable)


def _quarters(block: _Block, *, least: int) -> list[_Block]:
    """A block in four, so that one damaged tile blinds no more than itself; none where it is that small already."""
    left, top, columns, rows = block
    if max(columns, rows) <= least:
        return []
    across, down = (columns + 1) // 2, (rows + 1) // 2
    parts = [(left + x, top + y, min(across, columns - x), min(down, rows - y)) for y in (0, down) for x in (0, across)]
    return [part for part in parts if part[2] > 0 and part[3] > 0]
