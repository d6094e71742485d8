"""Regions of a level that is stored in tiles or strips, and a cache of decoded tiles."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from cancernet_cli.core.records import Failure
from cancernet_cli.data.slides.base import UnreadableSlide

CACHE_BYTES = 48 * 1024**2  # per slide: a row of 256-pixel tiles across 60,000 pixels

Tile = NDArray[Any] | None  # [h, w, S]; None where the file has no tile


@dataclass(frozen=True)
class TileGrid:
    """How a level is divided into tiles or strips; the last row and column may be incomplete.

    planes: 1, or the number of channels where each is stored as a separate image.
    """

    width_px: int
    height_px: int
    tile_width_px: int
    tile_height_px: int
    planes: int = 1

    def copy_region(self, out: NDArray[Any], left: int, top: int, tile_at: Callable[[int], Tile]) -> None:
        """Fill `[H, W, S]` with the region of its size at (left, top), which must be inside the level.

        `tile_at` returns the tile with an index in the file; without one, `out` keeps its values.
        """
        rows, columns = self.tile_height_px, self.tile_width_px
        down, across = -(-self.height_px // rows), -(-self.width_px // columns)
        bottom, right = top + out.shape[0], left + out.shape[1]
        for plane in range(self.planes):
            channels = slice(plane, plane + 1) if self.planes > 1 else slice(None)
            for i in range(top // rows, -(-bottom // rows)):
                for j in range(left // columns, -(-right // columns)):
                    tile = tile_at((plane * down + i) * across + j)
                    if tile is None:
                        continue
                    y, x = i * rows, j * columns
                    a, b = max(top, y), min(bottom, y + tile.shape[0])
                    c, d = max(left, x), min(right, x + tile.shape[1])
                    out[a - top : b - top, c - left : d - left, channels] = tile[a - y : b - y, c - x : d - x]


class TileCache:
    """The most recently used decoded tiles by level and index, up to a number of bytes."""

    def __init__(self, capacity_bytes: int = CACHE_BYTES) -> None:
        self.held_bytes = 0
        self._capacity_bytes = capacity_bytes
        self._tiles: OrderedDict[tuple[int, int], Tile] = OrderedDict()
        self._damaged: dict[tuple[int, int], Failure] = {}

    def get(self, level: int, index: int, decode: Callable[[int, int], Tile]) -> Tile:
        """The tile at a level and index, decoded if it is not cached.

        Raises:
            UnreadableSlide: `decode` failed, which is not tried again.
            OSError, MemoryError: from `decode`, which is tried again.
        """
        key = level, index
        if key in self._damaged:
            raise UnreadableSlide(self._damaged[key])
        if key in self._tiles:
            self._tiles.move_to_end(key)
            return self._tiles[key]
        try:
            tile = decode(level, index)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # codecs raise anything
            self._damaged[key] = Failure.of("decode", error)
            raise UnreadableSlide(self._damaged[key]) from None
        self._tiles[key] = tile
        self.held_bytes += _size(tile)
        while self.held_bytes > self._capacity_bytes and len(self._tiles) > 1:
            self.held_bytes -= _size(self._tiles.popitem(last=False)[1])
        return tile

    def clear(self) -> None:
        self._tiles.clear()
        self._damaged.clear()
        self.held_bytes = 0


def _size(tile: Tile) -> int:
    return 0 if tile is None else tile.nbytes
