"""Generate slides of any size for benchmarks: pyramids of JPEG tiles, written with constant memory.

    python benchmarks/slide_files.py slide.tif --width 60000 --height 60000

Tissue is one generated field of 4,096 x 4,096 pixels, repeated, so that each of its tiles is compressed only once; it
is surrounded by glass unless `glass=False`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
import tifffile

from cancernet_cli.core.arrays import Bools, Pixels
from cancernet_cli.engine.bench.synthetic_images import GLASS, field

TILE_PX = 256
FIELD_PX = 4096
FACTORS = (1, 4, 16)  # of the levels; each divides the field into whole tiles
QUALITY = 80
APERIO = "Aperio Image Library v11.2.1"
BIG_PIXELS = 500_000_000  # larger files may exceed the 4 GB of a classic TIFF


def write_slide(
    path: Path, width_px: int, height_px: int, *, mpp: float = 0.25, glass: bool = True, seed: int = 0
) -> Path:
    """Write a pyramid with downsamples 1, 4 and 16, in 256 x 256 JPEG tiles (4:2:0, quality 80).

    Args:
        path: `.svs` writes an Aperio slide, `.tif` a plain TIFF that OpenSlide calls `generic-tiff`.
        mpp: micrometers per pixel, for the Aperio description or the resolution tags.
        glass: an ellipse of tissue on glass; otherwise tissue up to the borders.
    """
    cells = tissue_cells(width_px, height_px) if glass else None
    tissue = tissue_field(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path, bigtiff=width_px * height_px > BIG_PIXELS) as file:
        for factor in FACTORS:
            shape = (height_px // factor, width_px // factor, 3)
            if min(shape[:2]) < 1:
                break
            kind: dict[str, Any] = {"subfiletype": 1} if factor > 1 else {}
            if path.suffix == ".svs":
                kind["description"] = f"{APERIO}\r\n{width_px}x{height_px} JPEG/RGB Q={QUALITY}|MPP = {mpp:g}"
            elif factor == 1:
                kind |= {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
            file.write(
                encoded_tiles(tissue, cells, shape[0], shape[1], factor),
                shape=shape,
                dtype=np.uint8,
                tile=(TILE_PX, TILE_PX),
                photometric="ycbcr",
                subsampling=(2, 2),
                compression="jpeg",
                metadata=None,
                **kind,
            )
    return path


@lru_cache(maxsize=1)
def tissue_field(seed: int) -> Pixels:
    """The field that all tissue is made of."""
    return field(seed, FIELD_PX, FIELD_PX)


def tissue_cells(width_px: int, height_px: int) -> Bools:
    """`[rows, columns]`: which cells of 256 x 256 pixels are in an ellipse with a margin of a twelfth on each side."""
    rows, columns = -(-height_px // TILE_PX), -(-width_px // TILE_PX)
    y = (np.arange(rows) + 0.5) * TILE_PX / height_px - 0.5
    x = (np.arange(columns) + 0.5) * TILE_PX / width_px - 0.5
    return np.asarray(x[None] ** 2 + y[:, None] ** 2 < (5 / 12) ** 2)


def encoded_tiles(tissue: Pixels, cells: Bools | None, height_px: int, width_px: int, factor: int) -> Iterator[bytes]:
    """The tiles of a level as JPEG, row by row; those at the right and bottom borders are full size."""
    side = FIELD_PX // factor
    small: Any = cv2.resize(tissue, (side, side), interpolation=cv2.INTER_AREA)
    per_side = side // TILE_PX  # tiles of the field

    def tile_of_field(row: int, column: int) -> Pixels:
        top, left = row % per_side * TILE_PX, column % per_side * TILE_PX
        return np.ascontiguousarray(small[top : top + TILE_PX, left : left + TILE_PX])

    @cache
    def compressed(row: int, column: int) -> bytes:
        return encode(tile_of_field(row, column))

    bare = encode(np.full((TILE_PX, TILE_PX, 3), GLASS, np.uint8))
    for row in range(-(-height_px // TILE_PX)):
        for column in range(-(-width_px // TILE_PX)):
            here = cells is None or cells[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
            if np.all(here):
                yield compressed(row % per_side, column % per_side)
            elif not np.any(here):
                yield bare
            else:
                yield encode(on_glass(tile_of_field(row, column), np.asarray(here), factor))


def on_glass(tile: Pixels, cells: Bools, factor: int) -> Pixels:
    """A tile of a coarser level with some cells of glass."""
    cell_px = TILE_PX // factor
    is_tissue = np.zeros((factor, factor), np.bool_)
    is_tissue[: cells.shape[0], : cells.shape[1]] = cells
    mask = is_tissue.repeat(cell_px, axis=0).repeat(cell_px, axis=1)
    return np.where(mask[..., None], tile, np.array(GLASS, np.uint8))


def encode(tile: Pixels) -> bytes:
    """A complete JPEG, including its tables."""
    data: bytes = simplejpeg.encode_jpeg(tile, quality=QUALITY, colorsubsampling="420")
    return data


def main() -> None:
    """Parse arguments and write one slide."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--width", type=int, default=60_000)
    parser.add_argument("--height", type=int, default=60_000)
    parser.add_argument("--mpp", type=float, default=0.25)
    parser.add_argument("--no-glass", action="store_true")
    given = parser.parse_args()
    write_slide(given.path, given.width, given.height, mpp=given.mpp, glass=not given.no_glass)


if __name__ == "__main__":
    main()
