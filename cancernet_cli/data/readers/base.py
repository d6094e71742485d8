"""Interface and registry of image readers, and the errors of unreadable images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.records import Unreadable
from cancernet_cli.core.registry import Registry

# From the width and height of an upright image to the minimum width and height at which it is needed.
Needs = Callable[[int, int], tuple[int, int]]


@dataclass(frozen=True)
class ShrunkImage:
    """An image decoded at reduced size, `[h, w, 3]` uint8 RGB, upright, and its full width and height."""

    pixels: Pixels
    width_px: int
    height_px: int


@dataclass(frozen=True)
class OpenedImage:
    """An image whose header has been read.

    decode: returns the pixels, `[H, W, 3]` uint8 RGB, upright. shrink: decodes at a reduced size, for formats in which
    that is faster.
    """

    width_px: int
    height_px: int
    decode: Callable[[], Pixels]
    shrink: Callable[[Needs], ShrunkImage] | None = None


Reader = Callable[[bytes], OpenedImage]

# From a file's bytes to an opened image; may raise anything, a `BadImage` for known problems. Facts, both required:
#   endings: lower-case file name endings, such as `.png`.
#   signatures: first bytes of its files (see `data.signatures`).
readers: Registry[Reader] = Registry("image reader", "cancernet_cli.data.readers.formats")


class UnreadableImage(Unreadable):
    """A file that cannot be read as an image."""


class BadImage(ValueError):
    """A problem with a file's content; the table shows the class's name."""


class EmptyFile(BadImage):
    """The file is empty."""


class FileTooLarge(BadImage):
    """The file is larger than the limit."""


class NotAnImage(BadImage):
    """The first bytes match no known format."""


class TooManyPixels(BadImage):
    """More than --max-megapixels, according to the header."""


class TooFewPixels(BadImage):
    """The image is too small to show tissue."""


class TruncatedImage(BadImage):
    """The file ends before its image."""


class ChecksumMismatch(BadImage):
    """A checksum in the file does not match its content."""


class UnsupportedPixels(BadImage):
    """A valid file whose pixels are not colors of 1 to 16 bits."""
