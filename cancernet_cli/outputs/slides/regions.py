"""Merge touching or overlapping tiles of one label into polygons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely

from cancernet_cli.core.arrays import F32
from cancernet_cli.core.choices import UNSURE
from cancernet_cli.outputs.slides.results import TileResults

Ring = list[list[int]]


@dataclass(frozen=True)
class Region:
    """Tiles of one label that are connected by their edges; a shared corner does not connect tiles.

    Attributes:
        label: None for failed tiles.
        rings: Outer ring, then holes; closed, in whole level-0 pixels.
        probs: `[K]` float32, mean over the tiles; None for failed tiles.
    """

    label: str | None
    rings: list[Ring]
    tiles: int
    area_um2: float
    probs: F32 | None


def merge_tiles(results: TileResults) -> Iterator[Region]:
    """Yield the regions of each class in the order of the classes, then of unsure and failed tiles; from the top left.

    Where tiles of different labels overlap, so do their regions.
    """
    for label in (*results.classes, UNSURE, None):
        tiles = [number for number, name in enumerate(results.labels) if name == label]
        yield from _regions(results, np.array(tiles, np.int64), label)


def _regions(results: TileResults, tiles: np.ndarray, label: str | None) -> Iterator[Region]:
    if not len(tiles):
        return
    x, y, right, bottom = (side[tiles] for side in (results.x, results.y, results.right, results.bottom))
    union = shapely.normalize(shapely.unary_union(shapely.box(x, y, right, bottom)))
    # Normalized rings start at a corner, so simplifying removes every point between two corners
    polygons = shapely.orient_polygons(shapely.get_parts(shapely.simplify(union, 0)))
    bounds = shapely.bounds(polygons)
    polygons = polygons[np.lexsort((bounds[:, 0], bounds[:, 1]))]
    inside, region = shapely.STRtree(polygons).query(shapely.points(x + 0.5, y + 0.5), predicate="intersects")
    of = np.empty(len(tiles), np.int64)
    of[inside] = region
    counts = np.bincount(of, minlength=len(polygons))
    sums = np.stack([np.bincount(of, p, len(polygons)) for p in results.probs[tiles].T.astype(np.float64)], axis=1)
    for i, polygon in enumerate(polygons):
        rings = [
            shapely.get_coordinates(ring).astype(np.int64).tolist() for ring in (polygon.exterior, *polygon.interiors)
        ]
        probs = None if label is None else (sums[i] / counts[i]).astype(np.float32)
        yield Region(label, rings, int(counts[i]), float(polygon.area) * results.mpp**2, probs)
