"""Thumbnails of whole slides, in constant memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import cv2
import numpy as np

from cancernet_cli.core.arrays import Bools, Pixels
from cancernet_cli.data.slides.base import Slide, UnreadableSlide, level_for

_BLOCK_PX = 2048
_MIN_BLOCK_PX = 128  # in pixels of the level: about half a tile of the file
# Failed reads after which damaged blocks are no longer divided, and a slide without any readable block is given up
_MAX_FAILURES = 1024
_MAX_FAILURES_IN_ORDER = 64  # then, if nothing could be read, blocks are read all over the slide

_Block = tuple[int, int, int, int]  # left, top, columns, rows of the thumbnail


@dataclass(frozen=True)
class Thumbnail:
    """A slide downsampled by an integer factor from one of its levels.

    pixels: `[h, w, 3]` uint8 RGB; the last row and column may include white from beyond the slide. downsample: the side
    of one of its pixels in pixels of level 0. unreadable: `[h, w]` bool, where the slide cannot be decoded; white in
    `pixels`.
    """

    pixels: Pixels
    downsample: float
    unreadable: Bools

    def without_pixels(self) -> Thumbnail:
        """The same downsample with empty arrays."""
        return replace(self, pixels=self.pixels[:0, :0], unreadable=self.unreadable[:0, :0])


def make_thumbnail(slide: Slide, *, downsample: float) -> Thumbnail:
    """Downsample a slide by about `downsample`, by averaging square blocks of the nearest finer level.

    Raises:
        UnreadableSlide: none of its blocks can be decoded, or none of the first 1,024.
    """
    at = level_for(slide, downsample)
    level = slide.levels[at]
    factor = max(1, round(downsample / level.downsample))
    width, height = -(-level.width_px // factor), -(-level.height_px // factor)
    pixels = np.full((height, width, 3), 255, np.uint8)
    unreadable = np.zeros((height, width), np.bool_)
    step = max(1, _BLOCK_PX // factor)
    pending = deque(
        (left, top, min(step, width - left), min(step, height - top))
        for top in range(0, height, step)
        for left in range(0, width, step)
    )
    failures, first, is_blind = 0, None, True
    while pending:
        left, top, columns, rows = block = pending.popleft()
        here = slice(top, top + rows), slice(left, left + columns)
        try:
            found = slide.read_level(at, left * factor, top * factor, columns * factor, rows * factor)
        except UnreadableSlide as error:
            first, failures = first or error, failures + 1
            unreadable[here] = True
            if failures <= _MAX_FAILURES:
                pending.extend(_quarters(block, min_side=max(1, _MIN_BLOCK_PX // factor)))
            elif is_blind:
                raise first from None
            if is_blind and failures == _MAX_FAILURES_IN_ORDER:
                pending = deque(pending[i] for i in np.random.default_rng(0).permutation(len(pending)))
            continue
        unreadable[here] = is_blind = False
        pixels[here] = cv2.resize(found, (columns, rows), interpolation=cv2.INTER_AREA)
    if first is not None and unreadable.all():
        raise first
    return Thumbnail(pixels, level.downsample * factor, unreadable)


def _quarters(block: _Block, *, min_side: int) -> list[_Block]:
    """A block split in four, so that a damaged tile hides only itself; empty if the block is small already."""
    left, top, columns, rows = block
    if max(columns, rows) <= min_side:
        return []
    across, down = (columns + 1) // 2, (rows + 1) // 2
    parts = [(left + x, top + y, min(across, columns - x), min(down, rows - y)) for y in (0, down) for x in (0, across)]
    return [part for part in parts if part[2] > 0 and part[3] > 0]
