"""Measure reading of tiles: `data.tiles.pixels.read_tiles` against one `read_region` per tile and Pillow, in turn.

    python benchmarks/read_tiles.py                   # a generated slide of 20,000 x 20,000, tiles of 224 x 224
    python benchmarks/read_tiles.py --slide SLIDE     # your own

Both read the same tiles of the same slide in one process: whole rows from its middle, by row as `cancernet classify`
does. The other side is the usual code: OpenSlide's `get_best_level_for_downsample`, `read_region` at the tile's corner,
`convert("RGB")`, and Pillow's box filter if the level is finer than the view. Every round opens the slide again.
Pixels must be identical where nothing is resized. Elsewhere the largest and the mean difference are reported; tiles
that start between two pixels of their level are shifted by up to half a pixel.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import machine
import numpy as np
import openslide
from numpy.typing import NDArray
from PIL import Image
from slide_files import write_slide

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.data.resolution import resolve_resolution
from cancernet_cli.data.slides import open_slide
from cancernet_cli.data.tiles.pixels import level_region, read_tiles
from cancernet_cli.data.tiles.tiling import TileSize, grid_starts, tile_size

AT_ONCE = 64
BAR = 2.0

Places = list[tuple[int, int]]


def places_in_the_middle(width_px: int, height_px: int, size: TileSize, count: int) -> Places:
    """(x, y) of about `count` tiles entirely within the slide: rows from its middle.

    Raises:
        SystemExit: the slide is smaller than a tile.
    """
    across = [x for x in grid_starts(width_px, size.width_px, 0.0).tolist() if x + size.width_px <= width_px]
    down = [y for y in grid_starts(height_px, size.height_px, 0.0).tolist() if y + size.height_px <= height_px]
    if not across or not down:
        raise SystemExit(f"a tile has {size.width_px} x {size.height_px} pixels, the slide {width_px} x {height_px}")
    rows = min(len(down), max(1, round(count / len(across))))
    first = (len(down) - rows) // 2
    return [(x, y) for y in down[first : first + rows] for x in across]


def read_together(path: Path, places: Places, size: TileSize) -> Pixels:
    """`[T, H, W, 3]` by CancerNet."""
    found = np.empty((len(places), size.view_height_px, size.view_width_px, 3), np.uint8)
    with closing(open_slide(os.fsencode(path))) as slide:
        for first in range(0, len(places), AT_ONCE):
            x, y = zip(*places[first : first + AT_ONCE], strict=True)
            found[first : first + AT_ONCE] = read_tiles(slide, x, y, size).pixels
    return found


def read_one_by_one(path: Path, places: Places, size: TileSize) -> Pixels:
    """`[T, H, W, 3]` by OpenSlide and Pillow."""
    found = np.empty((len(places), size.view_height_px, size.view_width_px, 3), np.uint8)
    view = size.view_width_px, size.view_height_px
    with openslide.OpenSlide(path) as slide:
        # Allow for rounding of the downsample, as CancerNet does
        level = slide.get_best_level_for_downsample(size.width_px / size.view_width_px * 1.02)
        scale = slide.level_downsamples[level]
        side = round(size.width_px / scale), round(size.height_px / scale)
        for i, place in enumerate(places):
            tile = slide.read_region(place, level, side).convert("RGB")
            found[i] = np.asarray(tile if side == view else tile.resize(view, Image.Resampling.BOX))
    return found


def timed(read: Callable[[Path, Places, TileSize], Pixels], *given: Any) -> tuple[float, Pixels]:
    """Seconds, and the tiles read."""
    started = time.perf_counter()
    pixels = read(*given)
    return time.perf_counter() - started, pixels


def compared(path: Path, mpp: float, view_px: int, count: int, rounds: int) -> dict[str, Any]:
    """Tiles per second of both at one resolution, and the difference of their pixels.

    Raises:
        SystemExit: pixels differ although nothing is resized.
    """
    with closing(open_slide(os.fsencode(path))) as slide:
        own_mpp = resolve_resolution(slide.scale, target_mpp=mpp, slide_mpp=None).mpp
        size = tile_size(view_px, view_px, target_mpp=mpp, slide_mpp=own_mpp)
        places = places_in_the_middle(slide.levels[0].width_px, slide.levels[0].height_px, size, count)
        regions = [level_region(slide, *place, size) for place in places]
        downsample = slide.levels[regions[0].level].downsample
    # Both agree exactly if a tile is not resized and starts at a whole pixel of its level
    is_resized = (regions[0].width_px, regions[0].height_px) != (view_px, view_px)
    is_between = any((r.x * downsample, r.y * downsample) != at for r, at in zip(regions, places, strict=True))
    seconds: dict[str, list[float]] = {"together": [], "one_by_one": []}
    apart: NDArray[np.int16] | None = None
    for turn in range(1 + rounds):  # the first round fills the page cache and is not counted
        sides = [("together", read_together), ("one_by_one", read_one_by_one)]
        pixels = {}
        for name, read in sides[:: -1 if turn % 2 else 1]:
            taken, pixels[name] = timed(read, path, places, size)
            if turn:
                seconds[name].append(taken)
        if apart is None:
            apart = np.abs(pixels["together"].astype(np.int16) - pixels["one_by_one"])
    assert apart is not None
    if apart.any() and not is_resized and not is_between:
        raise SystemExit(f"at {mpp:g} um nothing is resized, but pixels differ by up to {apart.max()}")
    each = [b / a for a, b in zip(seconds["together"], seconds["one_by_one"], strict=True)]
    return {
        "tiles": len(places),
        "read_from_downsample": round(downsample, 4),
        "read_px": regions[0].width_px,
        "largest_difference": int(apart.max()),
        "mean_difference": round(float(apart.mean()), 3),
        **{f"{name}_tiles_per_s": round(len(places) / statistics.median(taken), 1) for name, taken in seconds.items()},
        "reading_ratio": round(statistics.median(each), 2),
        "reading_ratio_spread": [round(min(each), 2), round(max(each), 2)],
    }


def main() -> None:
    """Parse arguments, measure and report; exit with 1 if CancerNet is not twice as fast."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slide", type=Path, help="slide to read; default: a generated one")
    parser.add_argument(
        "--side-px", type=int, default=20_000, help="side length of the generated slide, in pixels of 0.25 um"
    )
    parser.add_argument("--mpp", type=float, nargs="+", default=[0.25, 0.4, 0.5, 1.0, 2.0])
    parser.add_argument("--view-px", type=int, default=224)
    parser.add_argument("--tiles", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--least", type=float, default=BAR, help="fail if a median ratio is lower")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)  # as in the workers of `cancernet classify`, one per core
    with tempfile.TemporaryDirectory() as temporary:
        path = given.slide or write_slide(Path(temporary) / "slide.tif", given.side_px, given.side_px)
        found = {f"{mpp:g}_um": compared(path, mpp, given.view_px, given.tiles, given.rounds) for mpp in given.mpp}
    side = f"generated, {given.side_px} x {given.side_px}"
    result = machine.facts() | {
        "slide": given.slide.name if given.slide else side,
        "view_px": given.view_px,
        "at_resolutions": found,
        "lowest_ratio": min(one["reading_ratio"] for one in found.values()),
    }
    machine.report("read-tiles", result, given.out)
    if result["lowest_ratio"] < given.least:
        raise SystemExit(f"reading together is {result['lowest_ratio']} times as fast, less than {given.least:g}")


if __name__ == "__main__":
    main()
