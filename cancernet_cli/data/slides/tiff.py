"""The structure of a TIFF, from its directories alone."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cancernet_cli.data.signatures import TIFF, has_signature

if TYPE_CHECKING:
    import tifffile

# tifffile logs unusual metadata; without a handler each message would go to stderr
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MIN_DIRECTORY_BYTES = 6  # an entry count of 0, and the next directory's offset
_REDUCED = 1  # NewSubfileType: a smaller version of another image in the file


@dataclass(frozen=True, slots=True)
class TiffShape:
    """The first image of a TIFF.

    tiled_levels: the number of tiled pyramid levels, this one included; 1 without a pyramid, even with thumbnails.
    is_sub_pyramid: its smaller levels are in SubIFDs, as in OME-TIFF, which OpenSlide ignores.
    """

    width_px: int
    height_px: int
    is_tiled: bool
    tiled_levels: int
    is_sub_pyramid: bool


def is_tiff(location: bytes) -> bool:
    """Whether a file is a TIFF or BigTIFF; False if it cannot be read."""
    with suppress(OSError), open(location, "rb") as file:
        return has_signature(file.read(4), TIFF)
    return False


def tiff_shape(location: bytes) -> TiffShape | None:
    """The shape of a TIFF's first image; None if its directories cannot be read."""
    import tifffile  # slow to import, and runs on other formats do not need it

    try:
        with tifffile.TiffFile(os.fsdecode(location)) as file:
            page = file.pages.first
            levels = pyramid_pages(file)
            return TiffShape(
                page.imagewidth, page.imagelength, page.is_tiled, len(levels), bool(page.subifds) and len(levels) > 1
            )
    except Exception:  # tifffile raises many kinds of errors on damaged directories
        return None


def pyramid_pages(file: tifffile.TiffFile) -> list[Any]:
    """The first page and its smaller versions, finest first: tiled pages of the same aspect ratio and color type.

    They are in SubIFDs (OME-TIFF), or are later pages marked as reduced-resolution.
    """
    first: Any = file.pages.first
    if not first.is_tiled:
        return [first]
    further: list[Any] = list(first.pages) if first.subifds else [page.aspage() for page in file.pages[1:]]
    found = [first]
    for page in further:
        is_reduced = bool(first.subifds) or bool(page.subfiletype & _REDUCED)
        if is_reduced and page.is_tiled and _is_smaller(page, found[-1], first):
            found.append(page)
    return found


def _is_smaller(page: Any, last: Any, first: Any) -> bool:
    """Whether a page shows all of the first one, at a smaller size than the last one."""
    width, height = first.imagewidth / page.imagewidth, first.imagelength / page.imagelength
    # the sides of levels are rounded up or down
    slack = 1 + 2 / min(page.imagewidth, page.imagelength)
    return (
        page.imagewidth < last.imagewidth
        and max(width, height) <= min(width, height) * slack
        and (page.dtype, page.samplesperpixel) == (first.dtype, first.samplesperpixel)
    )


def bytes_missing(location: bytes) -> int:
    """How many bytes of pixels a truncated TIFF has lost, by its directories; 0 for intact and other files.

    A truncated slide whose directories precede its pixels opens without errors and fails only when its last tiles are
    read, perhaps after hours.
    """
    try:
        size = os.path.getsize(location)
        if not is_tiff(location):
            return 0
        import tifffile

        with tifffile.TiffFile(os.fsdecode(location)) as file:
            if file.is_ndpi:  # its 64-bit offsets in a 32-bit file are ambiguous
                return 0
            pages: list[Any] = list(file.pages)
            below = pages[0].subifds or ()
            end = max([*map(_end, pages), *(offset + _MIN_DIRECTORY_BYTES for offset in below)])
            if end <= size and below:
                end = max(map(_end, pages[0].pages))
            return max(0, int(end) - size)
    except Exception:  # left to the readers to report
        return 0


def _end(page: Any) -> int:
    """Offset of the end of a page's last tile or strip."""
    ends = (at + count for at, count in zip(page.dataoffsets, page.databytecounts, strict=False) if count)
    return int(max(ends, default=0))
