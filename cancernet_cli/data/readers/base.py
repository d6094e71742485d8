"""Interface and registry of image readers, and the errors of unreadable images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.records import Unreadable
from cancernet_cli.core.registry import Registry

# Flags of a file: what its reader had to decide. `engine.classify.flags` has them in the order of the table.
ALPHA_IGNORED = "alpha_ignored"  # transparent everywhere
FIRST_OF_SEVERAL = "first_of_several_pages"  # further pages, planes or frames of the same kind were not read
DAMAGED = "damaged"  # all pixels could be decoded, but not without skipping bytes or adding an end marker
FILE_FLAGS = (ALPHA_IGNORED, FIRST_OF_SEVERAL, DAMAGED)

# From the width and height of an upright image to the minimum width and height at which it is needed.
Needs = Callable[[int, int], tuple[int, int]]


class FlaggedPixels(NamedTuple):
    """Decoded pixels, `[H, W, 3]` uint8 RGB, upright, and some of `FILE_FLAGS`."""

    pixels: Pixels
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShrunkImage:
    """An image decoded at reduced size, `[h, w, 3]` uint8 RGB, upright, its full width and height, and `FILE_FLAGS`."""

    pixels: Pixels
    width_px: int
    height_px: int
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class OpenedImage:
    """An image whose header has been read.

    decode: returns the pixels, `[H, W, 3]` uint8 RGB, upright, alone or with flags. shrink: decodes at a reduced size,
    for formats in which that is faster.
    """

    width_px: int
    height_px: int
    decode: Callable[[], Pixels | FlaggedPixels]
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


class Contradiction(BadImage):
    """A file that says two things about itself, such as the size of a tile and of the image inside it."""


class TooManyScans(BadImage):
    """A progressive JPEG of so many scans that decoding it would take minutes."""
