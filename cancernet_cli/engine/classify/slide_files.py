"""What else is written beside a slide's row: GeoJSON, heat map, probability map, masks of chosen tiles."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cancernet_cli.core.arrays import I64
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.core.paths import real_path
from cancernet_cli.core.percent import show_percent
from cancernet_cli.data.loading.slides import DecodedTiles
from cancernet_cli.engine.classify.mask_regions import touched
from cancernet_cli.engine.classify.slide_state import SlideRun
from cancernet_cli.inference.runner import Answer
from cancernet_cli.outputs.pictures.files import write_mask, write_png
from cancernet_cli.outputs.side_files import side_path

Writes = list[Callable[[], None]]


def slide_files(run: SlideRun, row: dict[str, Any], options: ClassifyOptions) -> Writes:
    """The files that a classified slide is to have; each is made when its write is called.

    Args:
        row: the slide's verdict (`SlideRun.verdict`).
    """
    # Each brings a library of its own, which only those who ask for the file wait for.
    name, results = real_path(run.file.path), run.results()
    writes: Writes = []
    if options.geojson is not None:
        from cancernet_cli.outputs.slides.geojson import write_geojson

        path = side_path(options.geojson, name, ".geojson")
        writes.append(functools.partial(write_geojson, results, path, regions=options.geojson_regions))
    if options.heatmaps is not None:
        draw = functools.partial(_draw, run, row, side_path(options.heatmaps, name, ".png"))
        writes.append(draw)
    if options.probability_maps is not None:
        from cancernet_cli.outputs.slides.probability_tiff import write_probability_tiff

        path = side_path(options.probability_maps, name, ".tif")
        writes.append(functools.partial(write_probability_tiff, results, path))
    return writes


def tile_masks(tiles: DecodedTiles, answer: Answer, boxes: I64 | None, folder: Path) -> Writes:
    """The masks of the tiles that touch a chosen region, as `<slide>.masks/x<x>_y<y>.png` of the view's size."""
    if boxes is None or answer.mask is None or not len(tiles.good):
        return []
    inside = side_path(folder, real_path(tiles.span.file.path), ".masks")
    wanted = touched(tiles.span, boxes)
    writes: Writes = []
    for row, place in enumerate(tiles.good.tolist()):
        if wanted[place]:
            x, y = int(tiles.span.x[place]), int(tiles.span.y[place])
            path = inside / f"x{x:07d}_y{y:07d}.png"
            writes.append(functools.partial(write_mask, answer.mask[row], path))
    return writes


def _draw(run: SlideRun, row: dict[str, Any], path: Path) -> None:
    from cancernet_cli.outputs.slides.heatmap import draw_heatmap

    thumbnail = run.plan.thumbnail
    write_png(draw_heatmap(run.results(), thumbnail.pixels, thumbnail.downsample, _caption(run, row)), path)


def _caption(run: SlideRun, row: dict[str, Any]) -> list[str]:
    label = row["label"]
    positive = run.card.decision.positive
    tiles = f"{len(run) - row['failed_tiles']:,} of {len(run):,} tiles"
    if row["positive_tile_fraction"] is not None:
        tiles += f", {show_percent(100 * row['positive_tile_fraction'])} of them {positive}"
    lines = [
        os.path.basename(run.file.path),
        f"{label} {show_percent(100 * float(row[f'prob_{label}']))} ({run.options.pool} of {tiles})",
        f"{run.card.name}. Research use only: not for diagnosis.",
    ]
    return lines + ([f"flags: {row['flags'].replace(' ', ', ')}"] if row["flags"] else [])
