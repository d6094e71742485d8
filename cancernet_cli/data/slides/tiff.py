"""The structure of a TIFF, from its directories alone: which pages are levels, and whether they can be read safely."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cancernet_cli.data.slides.base import BadSlide, TruncatedSlide, UnsupportedSlide
from cancernet_cli.data.slides.tiff_directories import (
    PHOTOMETRIC,
    PLANAR,
    ROWS_PER_STRIP,
    STRIP_COUNTS,
    STRIP_OFFSETS,
    SUBFILE,
    TILE_COUNTS,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_WIDTH,
    Directories,
    Directory,
    byte_order,
    read_array,
    read_directories,
)

if TYPE_CHECKING:
    import tifffile

# tifffile logs unusual metadata; without a handler each message would go to stderr
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_REDUCED, _MASK = 1, 4  # NewSubfileType: a smaller version of another image in the file; a transparency mask
_TRANSPARENCY_MASK = 4  # the same as a photometric
_SEPARATE = 2
_MAX_TILE_PX = 64 * 1024**2  # OpenSlide draws a tile in four bytes per pixel, and ends the process if it cannot
_MAX_ARRAY_BYTES = 512 * 1024**2  # of positions and sizes of tiles, all directories together


class DamagedSlide(BadSlide):
    """A file whose directories contradict themselves."""


@dataclass(frozen=True, slots=True)
class TiffShape:
    """The full image of a TIFF and its pyramid.

    levels: its directories, finest first; one without a pyramid, even with thumbnails. is_flagged_pyramid: they are
    the first page and later ones marked as reduced, which OpenSlide reads; it ignores SubIFDs and pages without marks.
    is_one_of_several: other pages have the same size and type, such as channels or focal planes.
    """

    levels: tuple[Directory, ...]
    is_flagged_pyramid: bool
    is_one_of_several: bool

    @property
    def pixels(self) -> int:
        return self.levels[0].width_px * self.levels[0].height_px

    @property
    def is_pyramid(self) -> bool:
        return len(self.levels) > 1


def tiff_shape(found: Directories | None) -> TiffShape | None:
    """The shape of a TIFF; None if it has no image of a known size."""
    if found is None:
        return None
    sized = [page for page in found.pages if page.width_px > 0 and page.height_px > 0]
    full = [page for page in sized if not page.number(SUBFILE) & (_REDUCED | _MASK)]
    full = [page for page in full if page.number(PHOTOMETRIC) != _TRANSPARENCY_MASK] or sized
    if not full:
        return None
    first = max(full, key=lambda page: page.width_px * page.height_px)  # the first of several
    levels = _levels(first, sized)
    is_flagged = first is found.pages[0] and all(
        not first.below and page.number(SUBFILE) & _REDUCED for page in levels[1:]
    )
    alike = [page for page in full if _size_and_type(page) == _size_and_type(first)]
    return TiffShape(tuple(levels), is_flagged, len(alike) > 1)


def channel_levels(found: Directories | None, channels: Sequence[int], levels: int) -> list[tuple[Directory, ...]]:
    """The levels of pages that are channels of one image, by channel.

    Raises:
        UnsupportedSlide: a page is missing, or they differ in size or type.
    """
    pages = found.pages if found is not None else ()
    if any(not 0 <= channel < len(pages) for channel in channels):
        raise UnsupportedSlide("its channels are in other files; save it as one file of RGB")
    every = [(pages[channel], *pages[channel].below[: levels - 1]) for channel in channels]
    if any([*map(_size_and_type, one)] != [*map(_size_and_type, every[0])] for one in every):
        raise UnsupportedSlide("its channels differ in size; save it as RGB")
    if any(page.samples != 1 for page in every[0]) or len(every[0]) != levels:
        raise UnsupportedSlide("its channels are not gray images; save it as RGB")
    return every


def _size_and_type(page: Directory) -> tuple[Any, ...]:
    return page.width_px, page.height_px, page.pixel_type


def _levels(first: Directory, pages: Sequence[Directory]) -> list[Directory]:
    """A page and its smaller versions, finest first: tiled pages of the same aspect ratio and color type.

    They are in SubIFDs (OME-TIFF), or are other pages: marked as reduced, or each a whole fraction of the one before.
    """
    found = [first]
    if not first.is_tiled:
        return found
    further = first.below or [page for page in pages if page is not first]
    for page in sorted(further, key=lambda page: -page.width_px):
        if not (page.is_tiled and page.width_px > 0 and page.height_px > 0):
            continue
        is_marked = bool(first.below) or bool(page.number(SUBFILE) & _REDUCED)
        if _is_smaller(page, found[-1], first) and (is_marked or _is_whole_fraction(page, found[-1])):
            found.append(page)
    return found


def _is_smaller(page: Directory, last: Directory, first: Directory) -> bool:
    """Whether a page shows all of the first one, at a smaller size than the last one."""
    width, height = first.width_px / page.width_px, first.height_px / page.height_px
    # the sides of levels are rounded up or down
    slack = 1 + 2 / min(page.width_px, page.height_px)
    return (
        page.width_px < last.width_px
        and max(width, height) <= min(width, height) * slack
        and page.pixel_type == first.pixel_type
    )


def _is_whole_fraction(page: Directory, last: Directory) -> bool:
    """Whether a page's sides are 1/2, 1/3, ... of another's, rounded up or down."""
    factor = round(last.width_px / page.width_px)
    sides = (last.width_px, page.width_px), (last.height_px, page.height_px)
    return factor > 1 and all(abs(large / factor - small) <= 1 for large, small in sides)


def check_directories(location: bytes) -> None:
    """Raise if a TIFF's directories are damaged, or ask for more than a library could give; other files pass.

    Raises:
        TruncatedSlide: the file ends before its directories or pixels do. A truncated slide whose directories precede
            its pixels opens without errors and fails only when its last tiles are read, perhaps after hours.
        DamagedSlide: a loop, too many directories, or too few tiles for the image's size.
        UnsupportedSlide: tiles that are too large to be decoded at once.
    """
    found = read_directories(location)
    if found is None or found.is_ndpi:  # the 64-bit offsets of NDPI in a 32-bit file are ambiguous
        return
    if found.damage:
        raise (TruncatedSlide if found.is_truncated else DamagedSlide)(found.damage)
    for page in found.all():
        _check_tiles(page)
    missing = _bytes_missing(location, found)
    if missing:
        raise TruncatedSlide(f"the file is {missing:,} bytes too short for its pixels")
    shape = tiff_shape(found)
    if shape is None:
        raise DamagedSlide("its directory has no size of an image")
    for level in shape.levels:
        _check_count(level)


def is_cut_off(location: bytes, found: Directories | None) -> bool:
    """Whether a TIFF ends before its directories or pixels do."""
    if found is None or found.is_ndpi:
        return False
    is_beyond = any(page.beyond.intersection(_TILES + _STRIPS) for page in found.all())
    return found.is_truncated or is_beyond or _bytes_missing(location, found) > 0


def _check_tiles(page: Directory) -> None:
    if not page.is_tiled:
        return
    width, height = page.number(TILE_WIDTH), page.number(TILE_HEIGHT)
    if not width or not height:
        raise DamagedSlide(f"its tiles are {width} x {height} pixels")
    if width * height > _MAX_TILE_PX:
        raise UnsupportedSlide(
            f"tiles of {width:,} x {height:,} pixels would have to be decoded at once; "
            "convert it to smaller tiles, for example with `vips tiffsave --tile --pyramid`"
        )


def _check_count(page: Directory) -> None:
    """Raise if a page lists fewer tiles or strips than cover it."""
    if page.is_tiled:
        width, height, word, tags = page.number(TILE_WIDTH), page.number(TILE_HEIGHT), "tiles", _TILES
    else:
        height = min(page.number(ROWS_PER_STRIP, page.height_px) or page.height_px, page.height_px)
        width, word, tags = page.width_px, "strips", _STRIPS
    needed = -(-page.width_px // width) * -(-page.height_px // height)
    if page.number(PLANAR) == _SEPARATE:
        needed *= page.samples
    if page.beyond.intersection(tags):
        raise TruncatedSlide(f"the file ends before the list of its {word}")
    listed = min(page.count(tag) for tag in tags if tag == tags[0] or page.count(tag))  # some writers omit the sizes
    if listed < needed:
        raise DamagedSlide(f"its directory lists {listed:,} of {needed:,} {word}")


_TILES, _STRIPS = (TILE_OFFSETS, TILE_COUNTS), (STRIP_OFFSETS, STRIP_COUNTS)


def _bytes_missing(location: bytes, found: Directories) -> int:
    """How many bytes of pixels a truncated TIFF has lost, by its directories."""
    size, end, budget = os.path.getsize(location), 0, _MAX_ARRAY_BYTES
    order = byte_order(location)
    done: set[Any] = set()
    with open(location, "rb") as file:
        for page in found.all():
            at, many = _TILES if page.is_tiled else _STRIPS
            arrays = page.arrays.get(at, page.numbers.get(at)), page.arrays.get(many, page.numbers.get(many))
            budget -= 8 * (page.count(at) + page.count(many))
            if arrays in done or budget < 0:
                continue
            done.add(arrays)
            starts, counts = read_array(file, page, at, order), read_array(file, page, many, order)
            listed = min(len(starts), len(counts))
            ends = (starts[:listed] + counts[:listed])[counts[:listed] > 0]
            end = max(end, int(ends.max(initial=np.uint64(0))))
    return max(0, end - size)


def tifffile_page(file: tifffile.TiffFile, directory: Directory) -> Any:
    """A directory as a page of tifffile, which would otherwise read all directories before it."""
    import tifffile

    file.filehandle.seek(directory.offset)
    return tifffile.TiffPage(file, 0)
