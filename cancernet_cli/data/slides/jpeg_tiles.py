"""Decode the JPEG tiles of a TIFF directly, several times as fast as through OpenSlide.

OpenSlide draws each tile on a four-channel canvas, which Python then converts to RGB. Its decoder is libjpeg-turbo as
well, so the pixels are identical. tifffile's `page.decode` gives them too, but takes 25 % longer per tile.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import tifffile

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.data.readers.inner_sizes import inner_size
from cancernet_cli.data.readers.strict_jpeg import decode_strictly, is_damage
from cancernet_cli.data.slides.base import Level, UnreadableSlide
from cancernet_cli.data.slides.tiff import tifffile_page
from cancernet_cli.data.slides.tiff_directories import read_directories
from cancernet_cli.data.slides.tile_grid import TileCache, TileGrid

_MAX_TILE_PX = 2048
_PROBE_PX = 256
_MAX_DIFFERENCE = 8
_JPEG, _CONTIGUOUS = 7, 1  # TIFF's numbers for JPEG compression and interleaved samples
# From TIFF's photometric number (2 RGB, 6 YCbCr) to the Adobe marker that tells a JPEG decoder the same
_ADOBE = {number: b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([how]) for number, how in ((2, 0), (6, 1))}

ReadLevel = Callable[[int, int, int, int, int], Pixels]
IsExact = Callable[[int], bool]


class DamagedTile(ValueError):
    """A truncated or damaged tile, of which OpenSlide would fill up what is missing."""


class JpegTiles:
    """The levels of a slide that are stored as JPEG tiles; `level in tiles` tells which."""

    def __init__(self, path: str, pages: dict[int, _Page]) -> None:
        self._file = open(path, "rb")  # noqa: SIM115
        self.pages = pages
        self._cache = TileCache()

    def __contains__(self, level: int) -> bool:
        return level in self.pages

    def read(self, level: int, x: int, y: int, width_px: int, height_px: int) -> Pixels:
        """A region in the level's own pixels, `[height_px, width_px, 3]` uint8 RGB; white beyond the level.

        Raises:
            UnreadableSlide, OSError: a tile cannot be decoded, or read.
        """
        page = self.pages[level]
        grid = page.grid
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width_px, grid.width_px), min(y + height_px, grid.height_px)
        found = np.empty((height_px, width_px, 3), np.uint8)
        if (right - left, bottom - top) != (width_px, height_px):
            found[:] = 255
        if left < right and top < bottom:
            inside = found[top - y : bottom - y, left - x : right - x]
            grid.copy_region(inside, left, top, lambda index: self._cache.get(level, index, self._decode))
        return found

    def close(self) -> None:
        self._cache.clear()
        self._file.close()

    def _decode(self, level: int, index: int) -> Pixels:
        page = self.pages[level]
        self._file.seek(page.starts[index])
        data = self._file.read(page.counts[index])
        size = inner_size(data)  # microseconds, and the decoder would allocate what the tile claims
        if size != (page.grid.tile_width_px, page.grid.tile_height_px):
            raise ValueError(f"tile {index} claims {size} pixels")
        try:
            return decode_strictly(page.head + data[2:]).pixels
        except ValueError as error:
            if is_damage(error):
                raise DamagedTile(f"tile {index}: {error}") from None
            raise


class _Page:
    """A level's grid, the positions of its tiles in the file, and the start of each one as a complete JPEG.

    head: start marker, color marker and shared tables; the tile follows without its own start marker.
    """

    def __init__(self, page: Any) -> None:
        self.grid = TileGrid(int(page.imagewidth), int(page.imagelength), int(page.tilewidth), int(page.tilelength))
        self.starts, self.counts = array("Q", page.dataoffsets), array("Q", page.databytecounts)
        tables: bytes = page.jpegtables or b"\xff\xd8\xff\xd9"
        self.head = b"\xff\xd8" + _ADOBE[int(page.photometric)] + tables[2:-2]


def open_jpeg_tiles(path: str, levels: Sequence[Level], read_level: ReadLevel, is_exact: IsExact) -> JpegTiles | None:
    """The levels that can be decoded directly; None if there are none.

    These are levels for which exactly one page of the TIFF has their size, no tile is missing, and the center matches
    the output of `read_level(level, x, y, width, height)`: exactly if `is_exact(level)`.
    """
    try:
        pages = _jpeg_pages(path, levels)
    except Exception:  # left to OpenSlide to read, or to report
        return None
    if not pages:
        return None
    tiles = JpegTiles(path, pages)
    tiles.pages = {i: page for i, page in pages.items() if _looks_same(tiles, i, levels[i], read_level, is_exact(i))}
    return tiles


def _jpeg_pages(path: str, levels: Sequence[Level]) -> dict[int, _Page]:
    directories = read_directories(os.fsencode(path))
    found: dict[int, _Page] = {}
    if directories is None:
        return found
    with tifffile.TiffFile(path) as file:
        for i, level in enumerate(levels):
            size = level.width_px, level.height_px
            of_size = [page for page in directories.pages if (page.width_px, page.height_px) == size]
            page = tifffile_page(file, of_size[0]) if len(of_size) == 1 else None
            if page is not None and _is_jpeg(page):
                found[i] = _Page(page)
    return found


def _is_jpeg(page: Any) -> bool:
    return (
        page.is_tiled
        and int(page.compression) == _JPEG
        and int(page.photometric) in _ADOBE
        and (page.samplesperpixel, page.bitspersample, int(page.planarconfig)) == (3, 8, _CONTIGUOUS)
        and page.imagedepth == 1
        and max(page.tilewidth, page.tilelength) <= _MAX_TILE_PX
        and all(page.databytecounts)
    )


def _looks_same(tiles: JpegTiles, level: int, size: Level, read_level: ReadLevel, is_exact: bool) -> bool:
    """Whether the center of a level is the same through the other reader; False if either cannot read it."""
    width, height = min(_PROBE_PX, size.width_px), min(_PROBE_PX, size.height_px)
    region = level, (size.width_px - width) // 2, (size.height_px - height) // 2, width, height
    try:
        own, other = tiles.read(*region), read_level(*region)
    except (OSError, UnreadableSlide):
        return False
    if is_exact:
        return np.array_equal(own, other)
    # Where OpenSlide interpolates, block means still reveal wrong colors or another image
    apart = cv2.absdiff(cv2.blur(own, (16, 16)), cv2.blur(other, (16, 16)))
    return float(apart.max()) <= _MAX_DIFFERENCE
