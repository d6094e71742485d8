"""Place a slide's tiles, all at once; `data.tiles.pixels` reads them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from cancernet_cli.core.arrays import F32, F64, I64, Bools
from cancernet_cli.data.tiles.tissue import Tissue


@dataclass(frozen=True, slots=True)
class TileSize:
    """Size of a tile in level-0 pixels, and of the view that it becomes."""

    width_px: int
    height_px: int
    view_width_px: int
    view_height_px: int


@dataclass(frozen=True)
class TilePlan:
    """T tiles of one slide, ordered by y, then x; a tile spans `x` to `x + size.width_px` at level 0, likewise down.

    x, y: `[T]` int64.
    tissue_fraction, pen_fraction: `[T]` float32, of the whole tile; the part outside the slide counts as neither.
    grid: columns and rows of the grid from which the tiles were chosen.
    """

    size: TileSize
    x: I64
    y: I64
    tissue_fraction: F32
    pen_fraction: F32
    grid: tuple[int, int]

    def __len__(self) -> int:
        return len(self.x)


def tile_size(view_width_px: int, view_height_px: int, *, target_mpp: float, slide_mpp: float) -> TileSize:
    """The rectangle at level 0 that becomes a view of `target_mpp` micrometres per pixel."""
    scale = target_mpp / slide_mpp
    width, height = max(1, round(view_width_px * scale)), max(1, round(view_height_px * scale))
    return TileSize(width, height, view_width_px, view_height_px)


def plan_tiles(
    width_px: int, height_px: int, size: TileSize, tissue: Tissue, *, overlap: float = 0.0, min_tissue: float = 0.0
) -> TilePlan:
    """The tiles with tissue, of a grid that starts at (0, 0) and covers a slide of this size at level 0.

    Tiles at the right and lower edges extend beyond the slide. If one tile covers the slide, any tissue suffices.

    Args:
        overlap: fraction of a side that neighbouring tiles share, at least 0 and below 1.
        min_tissue: minimum tissue fraction of a tile; 0 accepts tiles with any tissue. In a slide that is narrower or
            lower than a tile, the fraction of what can be covered.
    """
    across, down = grid_starts(width_px, size.width_px, overlap), grid_starts(height_px, size.height_px, overlap)
    share = _shares(tissue.mask, tissue.downsample, across, down, size, (width_px, height_px))
    least = min_tissue * min(1.0, width_px / size.width_px) * min(1.0, height_px / size.height_px)
    if share.size == 1:
        least = 0.0
    rows, columns = np.nonzero((share > 0) & (share >= np.float32(least)))
    has_pen = tissue.pen.any()
    pen = _shares(tissue.pen, tissue.downsample, across, down, size, (width_px, height_px)) if has_pen else share * 0
    return TilePlan(
        size, across[columns], down[rows], share[rows, columns], pen[rows, columns], (len(across), len(down))
    )


def grid_starts(side_px: int, tile_px: int, overlap: float) -> I64:
    """Positions of tiles along a side, each rounded separately, so that errors do not accumulate."""
    # As written in decimal: 0.1 is a tenth, not the nearest binary fraction
    stride = max(Fraction(1), tile_px * (1 - Fraction(str(overlap))))
    count = math.ceil(side_px / stride)
    numbers = np.arange(count, dtype=np.int64)
    # Halves round up; np.rint rounds them to even, and strides would differ by two
    return (2 * numbers * stride.numerator + stride.denominator) // (2 * stride.denominator)


def _shares(mask: Bools, downsample: float, across: I64, down: I64, size: TileSize, slide_px: tuple[int, int]) -> F32:
    """`[rows, columns]` float32: the fraction of each tile that the mask covers, with exact partial pixels.

    The integral of the mask is bilinear between pixel corners.
    """
    covered = np.cumsum(mask, axis=0, dtype=np.float64)
    covered = np.pad(_between(covered, down, size.height_px, slide_px[1], downsample), ((0, 0), (1, 0)))
    both = np.cumsum(covered, axis=1)
    area = _between(both[:, 1:].T, across, size.width_px, slide_px[0], downsample).T
    whole = size.width_px * size.height_px / downsample**2
    return np.clip(area / whole, 0, 1).astype(np.float32)


def _between(sums: F64, starts: I64, tile_px: int, side_px: int, downsample: float) -> F64:
    """`[n, ...]`: the increase of `sums`, a running sum along its first axis, over each of n tiles."""
    sums = np.concatenate([np.zeros_like(sums[:1]), sums])

    def up_to(place: I64) -> F64:
        at = np.minimum(np.minimum(place, side_px) / downsample, len(sums) - 1)
        below = np.minimum(at.astype(np.int64), len(sums) - 2)
        share = (at - below)[:, None]
        mixed: F64 = sums[below] * (1 - share) + sums[below + 1] * share
        return mixed

    return up_to(starts + tile_px) - up_to(starts)
