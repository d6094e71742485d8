"""Nuclei of a slide, from those of its overlapping tiles: each counted once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from cancernet_cli.core.arrays import F32, F64, I64, Bools
from cancernet_cli.core.nuclei import Nuclei, joined
from cancernet_cli.data.tiles.slide_plan import SlidePlan

_SLACK_UM = 3.0  # two tiles may see the same nucleus this far apart
_NEAR_UM = 12.0  # a nucleus of another tile reaches this far into a core
_SAME = 0.5  # nuclei that share this much of the smaller one are the same


class Cores:
    """The part of each tile that no other tile is responsible for: up to the middle of the overlap with its neighbors.

    A nucleus belongs to the tile whose core has its center. Where a tile has no neighbor, because there is no tissue or
    the slide ends, it keeps everything up to its edge.
    """

    def __init__(self, plan: SlidePlan) -> None:
        size, tiles = plan.tiles.size, plan.tiles
        self._slack, self._near = (um / plan.resolution.mpp for um in (_SLACK_UM, _NEAR_UM))
        self._across = _Axis(tiles.x, tiles.y, size.width_px)
        self._down = _Axis(tiles.y, tiles.x, size.height_px)

    def depth(self, nuclei: Nuclei, tile: int | I64) -> F64:
        """How far inside its tile's core each nucleus is, in pixels of level 0; negative outside."""
        return np.minimum(self._across.depth(nuclei.x, tile), self._down.depth(nuclei.y, tile))

    def has(self, nuclei: Nuclei, tile: int) -> Bools:
        """Which nuclei are in the core of a tile, or so near that they may be, or that no neighbor has."""
        across, down = self._across.reach(nuclei.x, tile), self._down.reach(nuclei.y, tile)
        return np.asarray(np.minimum(across, down) >= -self._slack)

    def may_be_shared(self, nuclei: Nuclei, depths: F64) -> Bools:
        """Which nuclei another tile may have as well: those that reach out of the core, and those near its edge."""
        ends = [(*ring.min(axis=0), *ring.max(axis=0)) for ring in nuclei.outlines]
        left, top, right, bottom = np.array(ends, np.float64).T
        x, y = nuclei.x, nuclei.y
        reach = np.maximum.reduce([x - left, right - x, y - top, bottom - y])
        return np.asarray(depths < np.maximum(reach, self._near))


class _Axis:
    """Ends of the cores of T tiles along one axis, `[T]`, and whether each has a neighbor there."""

    def __init__(self, starts: I64, others: I64, side_px: int) -> None:
        places = np.unique(starts)
        at = np.searchsorted(places, starts)
        middles = (places[:-1] + side_px + places[1:]) / 2
        self._low = np.concatenate([places[:1], np.maximum(middles, places[1:])])[at].astype(np.float64)
        self._high = np.concatenate([np.minimum(middles, places[:-1] + side_px), places[-1:] + side_px])[at]
        tiles = set(zip(at.tolist(), others.tolist(), strict=True))
        has_before, has_after = (
            np.array([(i + step, other) in tiles for i, other in zip(at.tolist(), others.tolist(), strict=True)])
            for step in (-1, 1)
        )
        self._first = np.where(has_before, self._low, starts)
        self._last = np.where(has_after, self._high, starts + side_px)

    def depth(self, places: F32, tile: int | I64) -> F64:
        """Distance from the nearer end of the core."""
        return np.minimum(places - self._low[tile], self._high[tile] - places).astype(np.float64)

    def reach(self, places: F32, tile: int | I64) -> F64:
        """The same, where a missing neighbor leaves the tile all of its side."""
        return np.minimum(places - self._first[tile], self._last[tile] - places).astype(np.float64)


def merge_tiles(parts: Sequence[Nuclei], cores: Cores) -> Nuclei:
    """The nuclei of all tiles of a slide, labeled 1 to N; of two that two tiles saw, the one deeper inside its core.

    Args:
        parts: of tile 0, 1, ...
    """
    nuclei = joined(parts)
    if not len(nuclei):
        return nuclei
    tiles = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    depths = cores.depth(nuclei, tiles)
    edge = np.flatnonzero(cores.may_be_shared(nuclei, depths))
    kept = np.ones(len(nuclei), np.bool_)
    kept[edge[_repeated([nuclei.outlines[row] for row in edge.tolist()], tiles[edge], depths[edge])]] = False
    rows = np.flatnonzero(kept)
    return replace(nuclei.where(rows), labels=np.arange(1, len(rows) + 1))


def _repeated(outlines: Sequence[F32], tiles: I64, depths: F64) -> I64:
    """Which nuclei are the same as a deeper one of another tile."""
    shapes = np.array([shapely.polygons(ring) for ring in outlines])
    shapes = np.array(shapely.make_valid(shapes))
    first, second = (
        shapely.STRtree(shapes).query(shapes, predicate="intersects") if len(shapes) else np.empty((2, 0), int)
    )
    other = (first < second) & (tiles[first] != tiles[second])
    first, second = first[other], second[other]
    shared = shapely.area(shapely.intersection(shapes[first], shapes[second]))
    smaller = np.minimum(shapely.area(shapes[first]), shapely.area(shapes[second]))
    same = shared > _SAME * smaller
    gone: NDArray[Any] = np.zeros(len(outlines), np.bool_)
    pairs = np.stack([first[same], second[same]], axis=1)
    for one, two in pairs[np.lexsort(pairs.T[::-1])].tolist():
        if not (gone[one] or gone[two]):
            gone[one if depths[one] < depths[two] else two] = True
    return np.flatnonzero(gone)
