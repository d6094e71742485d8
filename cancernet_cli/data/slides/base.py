"""What a slide reader is, where it registers, and the ways in which a slide is no good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.records import Failure
from cancernet_cli.core.registry import Registry
from cancernet_cli.data.resolution import ScaleFacts

# A level that is coarser than wanted by less than this will do: scanners miss whole factors by a little, and a finer
# level would cost sixteen times the pixels.
_CLOSE = 1.02


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the pyramid; `downsample` is how many pixels of level 0 one of its pixels is wide."""

    width_px: int
    height_px: int
    downsample: float


class Slide(Protocol):
    """An open slide. Level 0 is the finest; `x` runs right, `y` down, from the left upper corner.

    vendor: the format, as `aperio`. levels: the pyramid, finest first. scale: what the file says on its scale.
    scan_origin: (x, y) at level 0 of the part that was scanned, from which some viewers count.
    """

    vendor: str
    levels: tuple[Level, ...]
    scale: ScaleFacts
    scan_origin: tuple[int, int]

    def is_exact(self, level: int) -> bool:
        """Whether a pixel of this level has the same value whatever region it is read in."""

    def read_level(self, level: int, x: int, y: int, width_px: int, height_px: int) -> Pixels:
        """A region in the level's own pixels, `[height_px, width_px, 3]` uint8 RGB.

        What lies outside the level, and what the scanner has left out, is white.

        Raises:
            UnreadableSlide: the region cannot be decoded. Other regions may still be.
        """

    def close(self) -> None:
        """Let go of the file."""


@dataclass(frozen=True)
class SlideReader:
    """A library that opens slides.

    takes: whether it opens the file at a path, decided by content; cheap, and never raises. open: gives the slide, or
    raises whatever its library raises. rank: readers are asked from low to high.
    """

    takes: Callable[[bytes], bool]
    open: Callable[[bytes], Slide]
    rank: int


slide_readers: Registry[Callable[[], SlideReader]] = Registry("slide reader")


class UnreadableSlide(Exception):
    """A slide, or a region of one, that gives no pixels; `failure` says where that came out and why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure

    def __str__(self) -> str:
        return str(self.failure)


class BadSlide(ValueError):
    """What is wrong with a slide's content; the class's name goes into the table."""


class NotASlide(BadSlide):
    """No reader takes the file."""


class TruncatedSlide(BadSlide):
    """The file ends before its pixels do."""


class MissingCompanion(BadSlide):
    """The other files of a multi-file slide are not there."""


class UnsupportedSlide(BadSlide):
    """A sound file of a kind that is not read."""


def on_white(rgba: Pixels) -> Pixels:
    """`[H, W, 4]` RGBA, not premultiplied, laid on white: `[H, W, 3]`."""
    alpha = np.asarray(cv2.extractChannel(rgba, 3))  # OpenCV takes channels apart in an eighth of numpy's time
    if alpha.min() == 255:
        return np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), np.uint8)
    if not np.any((alpha != 0) & (alpha != 255)):
        return np.where(alpha[..., None] == 0, np.uint8(255), rgba[..., :3])
    share = alpha[..., None].astype(np.uint32)
    return ((rgba[..., :3] * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)


def level_for(slide: Slide, downsample: float) -> int:
    """The coarsest level that is as fine as `downsample`, give or take two in a hundred; else the finest."""
    return max((i for i, level in enumerate(slide.levels) if level.downsample <= downsample * _CLOSE), default=0)
