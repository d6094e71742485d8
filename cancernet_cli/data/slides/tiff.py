"""What the directories of a TIFF say, without decoding a pixel."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Any

import tifffile

# tifffile remarks on odd metadata; without a handler every remark would go to stderr
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LEAST_DIRECTORY = 6  # bytes: a count of no entries, and where the next one is
_REDUCED = 1  # NewSubfileType: a smaller version of another image in the file


@dataclass(frozen=True, slots=True)
class TiffShape:
    """The first image of a TIFF.

    tiled_levels: how many levels of a pyramid it has, itself included, that are stored in tiles; 1 for no pyramid,
    whatever thumbnails there are. is_sub_pyramid: its smaller levels lie in SubIFDs, as OME-TIFF keeps them, where
    OpenSlide does not look.
    """

    width_px: int
    height_px: int
    is_tiled: bool
    tiled_levels: int
    is_sub_pyramid: bool


def is_tiff(head: bytes) -> bool:
    """Whether a file that begins so is a TIFF or a BigTIFF."""
    return head.startswith(_MAGICS)


def tiff_shape(location: bytes) -> TiffShape | None:
    """The shape of a TIFF's first image, None where its directories cannot be read."""
    try:
        with tifffile.TiffFile(os.fsdecode(location)) as file:
            page = file.pages.first
            levels = pyramid_pages(file)
            return TiffShape(
                page.imagewidth,
                page.imagelength,
                page.is_tiled,
                len(levels),
                bool(page.subifds) and len(levels) > 1,
            )
    except Exception:  # tifffile fails in many ways on damaged directories
        return None


def pyramid_pages(file: tifffile.TiffFile) -> list[Any]:
    """The first page and the smaller versions of it, finest first: tiled pages of the same aspect and colours.

    They lie in SubIFDs (OME-TIFF), or are further pages that say that they are reduced.
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
    """Whether a page shows the whole of the first at less than the last one's size."""
    width, height = first.imagewidth / page.imagewidth, first.imagelength / page.imagelength
    # A level's sides are rounded, up or down
    slack = 1 + 2 / min(page.imagewidth, page.imagelength)
    return (
        page.imagewidth < last.imagewidth
        and max(width, height) <= min(width, height) * slack
        and (page.dtype, page.samplesperpixel) == (first.dtype, first.samplesperpixel)
    )


def bytes_missing(location: bytes) -> int:
    """How far a TIFF's pixels, by its own directories, go on after the file's end; 0 for other files and sound ones.

    A truncated slide opens well when its directories stand before its pixels, and shows only when its last tiles are
    read, after hours maybe.
    """
    try:
        size = os.path.getsize(location)
        with open(location, "rb") as head:
            if not is_tiff(head.read(4)):
                return 0
        with tifffile.TiffFile(os.fsdecode(location)) as file:
            if file.is_ndpi:  # its 64-bit offsets in a 32-bit file are a matter of interpretation
                return 0
            pages: list[Any] = list(file.pages)
            below = pages[0].subifds or ()
            end = max([*map(_end, pages), *(offset + _LEAST_DIRECTORY for offset in below)])
            if end <= size and below:
                end = max(map(_end, pages[0].pages))
            return max(0, int(end) - size)
    except Exception:  # what cannot be read here is the readers' to say
        return 0


def _end(page: Any) -> int:
    """Where the last of a page's tiles or strips ends."""
    ends = (at + count for at, count in zip(page.dataoffsets, page.databytecounts, strict=False) if count)
    return int(max(ends, default=0))
