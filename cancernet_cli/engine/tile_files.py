"""The files of one slide's plan: mask, preview, tile images."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np

from cancernet_cli.core import interruption
from cancernet_cli.core.paths import real_path
from cancernet_cli.core.percent import show_percent
from cancernet_cli.core.records import Failure
from cancernet_cli.data.slides.base import Slide
from cancernet_cli.data.tiles.pixels import read_tiles
from cancernet_cli.data.tiles.slide_plan import SlidePlan, tile_boxes
from cancernet_cli.outputs.pictures.files import write_png
from cancernet_cli.outputs.pictures.tile_preview import draw_tile_preview
from cancernet_cli.outputs.side_files import side_path

_TILES_AT_ONCE = 64
_SOURCES = {
    "slide": "from the slide",
    "tiff_resolution": "from its TIFF resolution",
    "objective": "from its objective's power",
    "option": "given with --mpp",
    "model": "ASSUMED: the model's own",
}


def write_pictures(name: str, plan: SlidePlan, out: Path) -> None:
    """`<name>.tissue.png`, white where there is tissue, and `<name>.preview.png`."""
    write_png(plan.tissue.mask.astype(np.uint8) * 255, side_path(out, real_path(name), ".tissue.png"))
    thumbnail = plan.thumbnail.pixels
    preview = draw_tile_preview(thumbnail, plan.tissue.mask, plan.tissue.pen, tile_boxes(plan), _caption(name, plan))
    write_png(preview, side_path(out, real_path(name), ".preview.png"))


def write_images(name: str, slide: Slide, plan: SlidePlan, out: Path) -> dict[tuple[int, int], Failure]:
    """The tiles as `<name>.tiles/x<x>_y<y>.png`; gives, by (x, y), why some cannot be read.

    Images of an earlier plan go first.
    """
    folder = side_path(out, real_path(name), ".tiles")
    with suppress(FileNotFoundError):
        for old in folder.glob("x*_y*.png"):
            old.unlink()
    failures: dict[tuple[int, int], Failure] = {}
    tiles = plan.tiles
    for first in range(0, len(tiles), _TILES_AT_ONCE):
        interruption.check("no table was written", fix="give the same command with --overwrite to begin again")
        x, y = tiles.x[first : first + _TILES_AT_ONCE], tiles.y[first : first + _TILES_AT_ONCE]
        read = read_tiles(slide, x, y, tiles.size)
        for i, (left, top) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
            if i in read.failures:
                failures[left, top] = read.failures[i]
            else:
                write_png(read.pixels[i], folder / f"x{left:07d}_y{top:07d}.png")
    return failures


def _caption(name: str, plan: SlidePlan) -> list[str]:
    size, tissue, tiles = plan.tiles.size, plan.tissue, plan.tiles
    wide, high = (side * plan.resolution.mpp for side in (size.width_px, size.height_px))
    found = f"tissue {tissue.area_mm2:,.2f} mm2 ({show_percent(100 * float(tissue.mask.mean()))})"
    if tissue.pen.any():
        found += f", pen {show_percent(100 * float(tissue.pen.mean()))}"
    lines = [
        os.path.basename(name),
        f"{len(tiles):,} tiles of {tiles.grid[0] * tiles.grid[1]:,}; {found}",
        f"each {size.width_px} x {size.height_px} px, {wide:.0f} x {high:.0f} um, seen at {plan.target_mpp:.3g} um/px",
        f"{plan.levels[0].width_px:,} x {plan.levels[0].height_px:,} px, {plan.resolution.mpp:.4g} um/px "
        f"{_SOURCES[plan.resolution.source]}",
    ]
    return lines + ([f"flags: {', '.join(plan.flags)}"] if plan.flags else [])
