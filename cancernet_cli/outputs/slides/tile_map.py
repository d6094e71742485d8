"""Rasterize a slide's tiles; shared by heat maps and probability maps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cancernet_cli.core.arrays import F32, I64, Bools
from cancernet_cli.outputs.slides.results import TileResults

_ONE = 1 << 40  # probabilities are added as integers, so that sums are exact and independent of the order


@dataclass(frozen=True)
class TileMap:
    """A map, or some of its rows.

    Attributes:
        values: `[h, w]` float32, NaN where no tile has a value.
        failed: `[h, w]` bool, true where there are tiles but all of them failed.
    """

    values: F32
    failed: Bools


class TilePainter:
    """Computes rows of a map whose pixels are `step_x` x `step_y` level-0 pixels.

    A pixel is the mean of the tiles that contain its center. A tile that extends beyond the slide ends with the last
    pixel that overlaps the slide, wherever that pixel's center is.

    Args:
        width: Number of pixels in a row.
        values: `[T]` float32, 0 to 1, one value per tile; defaults to `results.values`.
    """

    def __init__(
        self, results: TileResults, width: int, *, step_x: float, step_y: float, values: F32 | None = None
    ) -> None:
        values = results.values if values is None else values
        # All tiles have the same height, so bottom edges are in the same order
        order = np.argsort(results.y, kind="stable")
        x, y = results.x[order], results.y[order]
        last_column, last_row = math.ceil(results.width_px / step_x), math.ceil(results.height_px / step_y)
        self._width = width
        self._left = np.minimum(cells(x, step_x), width)
        self._right = np.minimum(cells(x + results.tile_width_px, step_x), min(last_column, width))
        self._top = cells(y, step_y)
        self._bottom = np.minimum(cells(y + results.tile_height_px, step_y), last_row)
        self._is_good = ~results.failed[order]
        shown = np.where(self._is_good, values[order], 0).astype(np.float64)
        self._amounts = np.rint(shown * _ONE).astype(np.int64)

    def rows(self, first: int, count: int) -> TileMap:
        """Rows `first` to `first + count` (exclusive) of the map."""
        here = slice(np.searchsorted(self._bottom, first, "right"), np.searchsorted(self._top, first + count))
        top, bottom = (np.clip(side[here] - first, 0, count) for side in (self._top, self._bottom))
        corners = self._left[here], self._right[here], top, bottom
        good = self._is_good[here]
        tiles = _covered(good.astype(np.int64), corners, count, self._width)
        total = _covered(self._amounts[here], corners, count, self._width)
        values = np.full(tiles.shape, np.nan, np.float32)
        np.divide(total, tiles * _ONE, out=values, where=tiles > 0, casting="same_kind")
        failed = np.zeros(tiles.shape, np.bool_)
        if not good.all():
            failed = (_covered((~good).astype(np.int64), corners, count, self._width) > 0) & (tiles == 0)
        return TileMap(values, failed)


def cells(places: I64, step: float) -> I64:
    """Index of the first map pixel whose center is at or beyond each position."""
    return np.ceil(places / step - 0.5).astype(np.int64)


def _covered(amounts: I64, corners: tuple[I64, I64, I64, I64], height: int, width: int) -> I64:
    """`[height, width]`: sum of the amounts of all rectangles that cover each pixel (2-D difference array)."""
    left, right, top, bottom = corners
    change = np.zeros((height + 1, width + 1), np.int64)
    for rows, columns, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
        np.add.at(change, (rows, columns), sign * amounts)
    np.cumsum(change, axis=0, out=change)
    np.cumsum(change, axis=1, out=change)
    return change[:height, :width]
