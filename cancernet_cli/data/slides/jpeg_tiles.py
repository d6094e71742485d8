"""The levels of a TIFF whose tiles are JPEGs, decoded as they lie in the file: several times as fast as OpenSlide.

OpenSlide draws each tile on a canvas of four channels, which its Python side turns into RGB pixel by pixel. Its
decoder is libjpeg-turbo too, so the pixels are the same.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import simplejpeg
import tifffile

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.data.slides.base import Level, UnreadableSlide
from cancernet_cli.data.slides.decoded import Decoded

_MAX_TILE_PX = 2048
_PROBE_PX = 256
_MIXED = 8
_JPEG, _CONTIGUOUS = 7, 1  # TIFF's numbers for the compression, and for samples that lie side by side
# TIFF's number for the colours to Adobe's marker, which says the same to a JPEG decoder: RGB, and YCbCr
_ADOBE = {number: b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([how]) for number, how in ((2, 0), (6, 1))}

ReadLevel = Callable[[int, int, int, int, int], Pixels]
IsExact = Callable[[int], bool]


class JpegTiles:
    """Those levels of a slide that are kept as JPEG tiles; `level in tiles` says which."""

    def __init__(self, path: str, pages: dict[int, _Page]) -> None:
        self._file = open(path, "rb")  # noqa: SIM115
        self._pages = pages.copy()
        self._decoded = Decoded()

    def __contains__(self, level: int) -> bool:
        return level in self._pages

    def read(self, level: int, x: int, y: int, width_px: int, height_px: int) -> Pixels:
        """A region in the level's own pixels, `[height_px, width_px, 3]` uint8 RGB; white beyond the level.

        Raises:
            ValueError, OSError: a tile cannot be decoded, or read.
        """
        page = self._pages[level]
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width_px, page.width_px), min(y + height_px, page.height_px)
        found = np.empty((height_px, width_px, 3), np.uint8)
        if (right - left, bottom - top) != (width_px, height_px):
            found[:] = 255
        if left >= right or top >= bottom:
            return found
        rows, columns = page.tile_height_px, page.tile_width_px
        for i in range(top // rows, -(-bottom // rows)):
            for j in range(left // columns, -(-right // columns)):
                a, b = max(top, i * rows), min(bottom, (i + 1) * rows)
                c, d = max(left, j * columns), min(right, (j + 1) * columns)
                tile = self._decoded.get(level, i * page.across + j, self._decode)
                assert tile is not None
                part = tile[a - i * rows : b - i * rows, c - j * columns : d - j * columns]
                found[a - y : b - y, c - x : d - x] = part
        return found

    def drop(self, level: int) -> None:
        """Forget a level."""
        del self._pages[level]

    def close(self) -> None:
        """Let go of the file."""
        self._decoded.clear()
        self._file.close()

    def _decode(self, level: int, index: int) -> Pixels:
        page = self._pages[level]
        self._file.seek(page.starts[index])
        data = self._file.read(page.counts[index])
        tile: Pixels = simplejpeg.decode_jpeg(page.whole_jpeg(data), "RGB")
        if tile.shape != (page.tile_height_px, page.tile_width_px, 3):
            raise ValueError(f"tile {index} has {tile.shape[1]} x {tile.shape[0]} pixels")
        return tile


class _Page:
    """Where a level's tiles lie, and what a decoder has to know that stands elsewhere in the file."""

    def __init__(self, page: Any) -> None:
        self.width_px, self.height_px = int(page.imagewidth), int(page.imagelength)
        self.tile_width_px, self.tile_height_px = int(page.tilewidth), int(page.tilelength)
        self.across = -(-self.width_px // self.tile_width_px)
        self.starts, self.counts = array("Q", page.dataoffsets), array("Q", page.databytecounts)
        tables: bytes = page.jpegtables or b"\xff\xd8\xff\xd9"
        self._before = b"\xff\xd8" + _ADOBE[int(page.photometric)] + tables[2:-2]

    def whole_jpeg(self, data: bytes) -> bytes:
        """A tile with the tables that all tiles share and with its kind of colours, after the marker of its start."""
        return self._before + data[2:]


def open_jpeg_tiles(path: str, levels: Sequence[Level], read_level: ReadLevel, is_exact: IsExact) -> JpegTiles | None:
    """The levels that can be read so; None where there are none.

    A level counts where one page of the TIFF alone has its size, no tile is left out, and its middle looks as
    `read_level` (level, x, y, width, height) shows it: to the pixel where that `is_exact`.
    """
    try:
        pages = _jpeg_pages(path, levels)
    except Exception:  # then it is OpenSlide's to read, or to refuse
        return None
    if not pages:
        return None
    tiles = JpegTiles(path, pages)
    for i in pages:
        if not _looks_same(tiles, i, levels[i], read_level, is_exact(i)):
            tiles.drop(i)
    return tiles


def _jpeg_pages(path: str, levels: Sequence[Level]) -> dict[int, _Page]:
    with tifffile.TiffFile(path) as file:
        pages: list[Any] = [page.aspage() for page in file.pages]
        found = {}
        for i, level in enumerate(levels):
            of_size = [page for page in pages if _size(page) == (level.width_px, level.height_px)]
            if len(of_size) == 1 and _is_jpeg(of_size[0]):
                found[i] = _Page(of_size[0])
        return found


def _size(page: Any) -> tuple[int, int]:
    return int(page.imagewidth), int(page.imagelength)


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
    """Whether the slide's middle looks as the other reader shows it; not where either cannot read it."""
    width, height = min(_PROBE_PX, size.width_px), min(_PROBE_PX, size.height_px)
    region = level, (size.width_px - width) // 2, (size.height_px - height) // 2, width, height
    try:
        own, other = tiles.read(*region), read_level(*region)
    except (ValueError, OSError, UnreadableSlide):
        return False
    if is_exact:
        return np.array_equal(own, other)
    # Where OpenSlide mixes neighbouring pixels, the means of squares still tell wrong colours, or another image
    apart = cv2.absdiff(cv2.blur(own, (16, 16)), cv2.blur(other, (16, 16)))
    return float(apart.max()) <= _MIXED
