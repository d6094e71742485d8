"""The map that a slide's tiles make: one rule, which heat maps and probability TIFFs have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cancernet_cli.outputs.tile_results import Flags, Floats, Ints, TileResults

_ONE = 1 << 40  # probabilities are added as integers: the sum does not depend on the order, and is exact


@dataclass(frozen=True)
class TileMap:
    """A map, or some of its rows. values: `[h, w]` float32, NaN where no tile has one. failed: `[h, w]` bool, where
    there are tiles but all of them failed."""

    values: Floats
    failed: Flags


def paint_tiles(
    results: TileResults,
    width: int,
    height: int,
    *,
    step_x: float,
    step_y: float,
    first_row: int = 0,
) -> TileMap:
    """Rows `first_row` to `first_row + height` of the map whose pixels are `step_x` x `step_y` pixels of level 0.

    A pixel shows the mean over the tiles that its centre lies in.
    """
    left, right = cells(results.x, step_x), cells(results.right, step_x)
    top, bottom = (np.clip(cells(side, step_y) - first_row, 0, height) for side in (results.y, results.bottom))
    left, right = np.clip(left, 0, width), np.clip(right, 0, width)
    here = np.flatnonzero((top < bottom) & (left < right))
    corners = left[here], right[here], top[here], bottom[here]
    good = ~results.failed[here]
    fixed = np.rint(np.where(good, results.values[here], 0) * float(_ONE)).astype(np.int64)
    count = _covered(good.astype(np.int64), corners, width, height)
    total = _covered(fixed, corners, width, height)
    anything = count if good.all() else _covered(np.ones_like(fixed), corners, width, height)
    values = np.full((height, width), np.nan, np.float32)
    np.divide(total, count * _ONE, out=values, where=count > 0, casting="same_kind")
    return TileMap(values, (anything > 0) & (count == 0))


def cells(places: Ints, step: float) -> Ints:
    """The first pixel of the map whose centre lies at or beyond each place."""
    return np.ceil(places / step - 0.5).astype(np.int64)


def _covered(amounts: Ints, corners: tuple[Ints, Ints, Ints, Ints], width: int, height: int) -> NDArray[np.int64]:
    """`[height, width]`: the sum of the amounts of the rectangles over each pixel, as a running sum over corners."""
    left, right, top, bottom = corners
    change = np.zeros((height + 1, width + 1), np.int64)
    for rows, columns, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
        np.add.at(change, (rows, columns), sign * amounts)
    np.cumsum(change, axis=0, out=change)
    np.cumsum(change, axis=1, out=change)
    return change[:height, :width]
