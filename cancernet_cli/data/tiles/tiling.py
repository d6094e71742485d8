"""Where a slide's tiles lie, worked out for all of them at once; `data.tiles.pixels` reads them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from cancernet_cli.data.tiles.tissue import Mask, Tissue

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TileSize:
    """A tile at level 0, in pixels, and the view that it becomes."""

    width_px: int
    height_px: int
    view_width_px: int
    view_height_px: int


@dataclass(frozen=True)
class TilePlan:
    """T tiles of one slide by y, then x; a tile covers `x` to `x + size.width_px` of level 0, and down likewise.

    x, y: `[T]` int64. tissue_fraction, pen_fraction: `[T]` float32, shares of the whole tile; beyond the slide there is
    neither. grid: columns and rows of the grid that the tiles were chosen from.
    """

    size: TileSize
    x: Ints
    y: Ints
    tissue_fraction: Floats
    pen_fraction: Floats
    grid: tuple[int, int]

    def __len__(self) -> int:
        return len(self.x)


def tile_size(view_width_px: int, view_height_px: int, *, target_mpp: float, slide_mpp: float) -> TileSize:
    """The rectangle at level 0 that a view of `target_mpp` shows."""
    scale = target_mpp / slide_mpp
    width, height = max(1, round(view_width_px * scale)), max(1, round(view_height_px * scale))
    return TileSize(width, height, view_width_px, view_height_px)


def plan_tiles(
    width_px: int, height_px: int, size: TileSize, tissue: Tissue, *, overlap: float = 0.0, min_tissue: float = 0.0
) -> TilePlan:
    """The tiles of a grid that starts at (0, 0) and covers the slide, as far as they hold tissue.

    Tiles at the right and lower border stick out.

    Args:
        width_px, height_px: the slide at level 0.
        overlap: share of a side that neighbours have in common, 0 to below 1.
        min_tissue: least share of a tile that is tissue; at 0 any tissue will do.
    """
    across, down = grid_starts(width_px, size.width_px, overlap), grid_starts(height_px, size.height_px, overlap)
    share = _shares(tissue.mask, tissue.downsample, across, down, size, (width_px, height_px))
    rows, columns = np.nonzero((share > 0) & (share >= np.float32(min_tissue)))
    has_pen = tissue.pen.any()
    pen = _shares(tissue.pen, tissue.downsample, across, down, size, (width_px, height_px)) if has_pen else share * 0
    return TilePlan(
        size, across[columns], down[rows], share[rows, columns], pen[rows, columns], (len(across), len(down))
    )


def grid_starts(side_px: int, tile_px: int, overlap: float) -> Ints:
    """Where tiles start along a side: each place rounded by itself, so that errors do not add up."""
    # As people write it: 0.1 is a tenth, not the nearest binary fraction
    stride = max(Fraction(1), tile_px * (1 - Fraction(str(overlap))))
    count = math.ceil(side_px / stride)
    numbers = np.arange(count, dtype=np.int64)
    # Halves go up, where np.rint would send them to the even neighbour and make strides differ by two
    return (2 * numbers * stride.numerator + stride.denominator) // (2 * stride.denominator)


def _shares(
    mask: Mask, downsample: float, across: Ints, down: Ints, size: TileSize, slide_px: tuple[int, int]
) -> Floats:
    """`[rows, columns]` float32: the share of each tile of the grid that the mask covers, edges of its pixels exactly.

    The integral of the mask up to any point lies between those up to the pixels' corners, in both directions linearly.
    """
    covered = np.cumsum(mask, axis=0, dtype=np.float64)
    covered = np.pad(_between(covered, down, size.height_px, slide_px[1], downsample), ((0, 0), (1, 0)))
    both = np.cumsum(covered, axis=1)
    area = _between(both[:, 1:].T, across, size.width_px, slide_px[0], downsample).T
    whole = size.width_px * size.height_px / downsample**2
    return np.clip(area / whole, 0, 1).astype(np.float32)


def _between(
    sums: NDArray[np.float64], starts: Ints, tile_px: int, side_px: int, downsample: float
) -> NDArray[np.float64]:
    """`[n, ...]`: what `sums`, a running sum along its first axis, grows by over each of n tiles."""
    sums = np.concatenate([np.zeros_like(sums[:1]), sums])

    def up_to(place: Ints) -> NDArray[np.float64]:
        at = np.minimum(np.minimum(place, side_px) / downsample, len(sums) - 1)
        below = np.minimum(at.astype(np.int64), len(sums) - 2)
        share = (at - below)[:, None]
        mixed: NDArray[np.float64] = sums[below] * (1 - share) + sums[below + 1] * share
        return mixed

    return up_to(starts + tile_px) - up_to(starts)
