"""Interface and registry of slide readers, and the errors of unreadable slides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.records import Unreadable
from cancernet_cli.core.registry import Registry
from cancernet_cli.data.resolution import ScaleFacts

# A level may be coarser than requested by this factor: scanners miss integer factors by a little, and the next finer
# level has up to sixteen times the pixels.
_TOLERANCE = 1.02


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the pyramid; `downsample` is the width of one of its pixels in pixels of level 0."""

    width_px: int
    height_px: int
    downsample: float


def white_region(level: Level, x: int, y: int, width_px: int, height_px: int) -> tuple[Pixels, Pixels, int, int]:
    """A white region of a level, `[height_px, width_px, 3]` uint8, for a reader to fill.

    Returns:
        The region, a view of what lies inside the level (empty if nothing does), and that part's left and top.
    """
    region = np.full((height_px, width_px, 3), 255, np.uint8)
    left, top = max(x, 0), max(y, 0)
    right, bottom = max(left, min(x + width_px, level.width_px)), max(top, min(y + height_px, level.height_px))
    return region, region[top - y : bottom - y, left - x : right - x], left, top


class Slide(Protocol):
    """An open slide. Level 0 is the finest; `x` points right and `y` down from the upper left corner.

    vendor: the format, such as `aperio`. levels: the pyramid, finest first. scale: resolution metadata of the file.
    scan_origin: (x, y) at level 0 of the scanned area, the origin of coordinates in some viewers. flags: what its
    reader had to decide, of `data.readers.base.FILE_FLAGS`.
    """

    vendor: str
    levels: tuple[Level, ...]
    scale: ScaleFacts
    scan_origin: tuple[int, int]
    flags: tuple[str, ...]

    def is_exact(self, level: int) -> bool:
        """Whether a pixel of this level has the same value in every region that contains it."""

    def read_level(self, level: int, x: int, y: int, width_px: int, height_px: int) -> Pixels:
        """A region in the level's own pixels, `[height_px, width_px, 3]` uint8 RGB.

        White outside the level, and where nothing was scanned.

        Raises:
            UnreadableSlide: the region cannot be decoded; other regions may be readable.
        """

    def close(self) -> None:
        """Close the file."""


@dataclass(frozen=True)
class SlideReader:
    """A library that opens slides.

    takes: whether it supports the file at a path, by content; cheap, never raises. open: the open slide; may raise
    anything. rank: readers with lower ranks are tried first.
    """

    takes: Callable[[bytes], bool]
    open: Callable[[bytes], Slide]
    rank: int


# Facts:
#   endings: lower-case file name endings, such as `.svs`. Required.
#   signatures: first bytes of its files (see `data.signatures`). Required; empty if they have none.
#   index_endings: endings of slides, regardless of content, such as `.mrxs`, which begins as a JPEG.
slide_readers: Registry[Callable[[], SlideReader]] = Registry("slide reader", "cancernet_cli.data.slides.libraries")


class UnreadableSlide(Unreadable):
    """A slide, or a region of one, that cannot be read."""


class BadSlide(ValueError):
    """A problem with a slide's content; the table shows the class's name."""


class NotASlide(BadSlide):
    """No reader supports the file."""


class TruncatedSlide(BadSlide):
    """The file ends before its pixels do."""


class MissingCompanion(BadSlide):
    """Other files of a multi-file slide are missing."""


class UnsupportedSlide(BadSlide):
    """A valid file of an unsupported kind."""


def on_white(rgba: Pixels) -> Pixels:
    """Composite `[H, W, 4]` RGBA, not premultiplied, on white: `[H, W, 3]`."""
    alpha = np.asarray(cv2.extractChannel(rgba, 3))  # OpenCV splits channels in an eighth of numpy's time
    if alpha.min() == 255:
        return np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), np.uint8)
    if not np.any((alpha != 0) & (alpha != 255)):
        return np.where(alpha[..., None] == 0, np.uint8(255), rgba[..., :3])
    share = alpha[..., None].astype(np.uint32)
    return ((rgba[..., :3] * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)


def level_for(slide: Slide, downsample: float) -> int:
    """The coarsest level at least as fine as `downsample` (within 2 %); else the finest."""
    return max((i for i, level in enumerate(slide.levels) if level.downsample <= downsample * _TOLERANCE), default=0)
