"""Probability maps: a slide's tile probabilities as a pyramidal TIFF that overlays the slide.

8 bits rather than floats, since OpenSlide and most viewers open nothing else, and steps of 0.4 % are too fine to see;
the exact probabilities are in the tile table. 0: no tile; 1: all tiles here failed; 5 to 255: the probability is
(value - 5) / 250. Pixel (i, j) covers `step_px` x `step_px` level-0 pixels starting at (i * step_px, j * step_px).
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import tifffile

from cancernet_cli.core.arrays import F32, Bytes
from cancernet_cli.core.files import atomic_write
from cancernet_cli.outputs.slides.results import TileResults
from cancernet_cli.outputs.slides.tile_map import TileMap, TilePainter

NO_TILE, FAILED_TILE, LOWEST, STEPS = 0, 1, 5, 250

_BLOCK_PX = 256
_MOST_STEPS, _USUAL_STEPS = 32, 16  # map pixels per shorter tile side: maximum, and fallback

_SPOOLED_FAILED = -1.0

Rows = Callable[[int, int], TileMap]


def write_probability_tiff(results: TileResults, path: Path) -> None:
    """Write the map, starting with the finest level; each further level is half as wide, down to 256 x 256 pixels.

    Levels are separate tiled pages marked as reduced images, with resolution tags, as OpenSlide and Bio-Formats expect.
    Memory holds about 256 rows of the map; coarser levels are spooled to a temporary file.

    Raises:
        OutputError: The file cannot be written.
    """
    step = step_px(results)
    sides = math.ceil(results.width_px / step), math.ceil(results.height_px / step)
    levels = 1 + max(0, math.ceil(math.log2(max(sides) / _BLOCK_PX)))
    # Divisible at every level; otherwise OpenSlide infers fractional downsamples and shifts the levels
    width, height = (math.ceil(side / 2 ** (levels - 1)) * 2 ** (levels - 1) for side in sides)
    with (
        atomic_write(path, durable=False) as temporary,
        tifffile.TiffWriter(temporary, bigtiff=True) as file,
        ExitStack() as spools,
    ):
        rows = TilePainter(results, width, step_x=step, step_y=step).rows
        for level in range(levels):
            shape = height >> level, width >> level
            spool = spools.enter_context(tempfile.TemporaryFile())
            file.write(
                _blocks(rows, shape, spool if level + 1 < levels else None),
                shape=shape,
                dtype=np.uint8,
                tile=(_BLOCK_PX, _BLOCK_PX),
                compression="zlib",
                photometric="minisblack",
                subfiletype=1 if level else 0,
                description=None if level else _description(results, step).encode(),
                metadata=None,
                software="CancerNet",
                resolution=(1e4 / (results.mpp * step * 2**level),) * 2,
                resolutionunit="CENTIMETER",
            )
            rows = partial(_rows_of, spool, shape[1] // 2)


def step_px(results: TileResults) -> int:
    """Width of a map pixel in level-0 pixels.

    The largest step that divides all tile edges, so that the map is exact. If that is less than 1/32 of a tile, it is
    1/16, and edges are off by at most half a map pixel.
    """
    smaller = min(results.tile_width_px, results.tile_height_px)
    places = np.gcd.reduce(np.concatenate([results.x, results.y]), initial=0)
    shared = math.gcd(int(places), results.tile_width_px, results.tile_height_px)
    return shared if shared * _MOST_STEPS >= smaller else max(1, smaller // _USUAL_STEPS)


def _blocks(rows: Rows, shape: tuple[int, int], spool: IO[bytes] | None) -> Iterator[Bytes]:
    """A level's blocks in row-major order; the rows of the next level are written to the spool."""
    height, width = shape
    for top in range(0, height, _BLOCK_PX):
        part = rows(top, min(_BLOCK_PX, height - top))
        if spool is not None:
            spool.write(_halved(part).tobytes())
        strip = np.zeros((_BLOCK_PX, math.ceil(width / _BLOCK_PX) * _BLOCK_PX), np.uint8)
        strip[: len(part.values), :width] = _encoded(part)
        for left in range(0, width, _BLOCK_PX):
            yield np.ascontiguousarray(strip[:, left : left + _BLOCK_PX])


def _halved(part: TileMap) -> F32:
    """Mean of the pixels with a value in each 2 x 2 square; else `_SPOOLED_FAILED` if any failed, else NaN."""
    height, width = part.values.shape
    squares = (height // 2, 2, width // 2, 2)
    is_there = ~np.isnan(part.values)
    count = is_there.reshape(squares).sum(axis=(1, 3))
    total = np.where(is_there, part.values, 0).reshape(squares).sum(axis=(1, 3), dtype=np.float64)
    halved = np.where(part.failed.reshape(squares).any(axis=(1, 3)), np.float32(_SPOOLED_FAILED), np.float32(np.nan))
    np.divide(total, count, out=halved, where=count > 0, casting="same_kind")
    return halved


def _rows_of(spool: IO[bytes], width: int, first: int, count: int) -> TileMap:
    """Rows of a level from the spool."""
    row_bytes = 4 * width
    spool.seek(first * row_bytes)
    values = np.frombuffer(spool.read(count * row_bytes), np.float32).reshape(count, width)
    failed = values == _SPOOLED_FAILED
    return TileMap(np.where(failed, np.float32(np.nan), values), failed)


def _encoded(part: TileMap) -> Bytes:
    is_there = ~np.isnan(part.values)
    codes = np.where(part.failed, FAILED_TILE, NO_TILE).astype(np.uint8)
    codes[is_there] = np.rint(part.values[is_there].astype(np.float64) * STEPS).astype(np.uint8) + LOWEST
    return codes


def _description(results: TileResults, step: int) -> str:
    return (
        f"CancerNet map of tiles: {results.shown}\n"
        f"{NO_TILE}: no tile; {FAILED_TILE}: tiles failed; {LOWEST} to {LOWEST + STEPS}: (value - {LOWEST}) / {STEPS}\n"
        f"one pixel covers {step} x {step} px of level 0, from (0, 0) on; slide: {results.width_px} x "
        f"{results.height_px} px, {results.mpp:.6g} um/px"
    )
