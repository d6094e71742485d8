"""What a reader is, where it registers, and the ways in which a file is no good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.records import Failure
from cancernet_cli.core.registry import Registry

# From the width and height of an upright image to those that its pixels need to have at least.
Needs = Callable[[int, int], tuple[int, int]]


@dataclass(frozen=True)
class ShrunkImage:
    """An image's pixels, `[h, w, 3]` uint8 RGB, upright, and the width and height that it has in full."""

    pixels: Pixels
    width_px: int
    height_px: int


@dataclass(frozen=True)
class OpenedImage:
    """A file whose header has been read; `decode` gives its pixels, `[H, W, 3]` uint8 RGB, upright.

    `shrink` decodes no more of them than are needed, where a format can do that more cheaply.
    """

    width_px: int
    height_px: int
    decode: Callable[[], Pixels]
    shrink: Callable[[Needs], ShrunkImage] | None = None


Reader = Callable[[bytes], OpenedImage]

# Each entry's fact `magic` lists the byte strings that a file of its format begins with ("?" stands for any byte).
readers: Registry[Reader] = Registry("reader")


class UnreadableImage(Exception):
    """A file that gives no pixels; `failure` says where that came out and why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure

    def __str__(self) -> str:
        return str(self.failure)


class BadImage(ValueError):
    """What is wrong with a file's content; the class's name goes into the table."""


class EmptyFile(BadImage):
    """No bytes."""


class FileTooLarge(BadImage):
    """More bytes than are read in one go."""


class NotAnImage(BadImage):
    """The first bytes belong to no known format."""


class TooManyPixels(BadImage):
    """More than --max-megapixels, by its header."""


class TooFewPixels(BadImage):
    """A side too short to show tissue."""


class TruncatedImage(BadImage):
    """The file ends before the image does."""


class ChecksumMismatch(BadImage):
    """The file's own checksum says that it has changed."""


class UnsupportedPixels(BadImage):
    """A sound file of numbers that are not colours of 1 to 16 bits."""
