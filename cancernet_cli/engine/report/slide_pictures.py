"""Pictures of a whole slide: thumbnail, heat map, and the tiles that tell most."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from cancernet_cli.core.arrays import F32
from cancernet_cli.data.slides.base import Slide, UnreadableSlide, level_for
from cancernet_cli.data.slides.handles import open_slide
from cancernet_cli.data.slides.thumbnail import make_thumbnail
from cancernet_cli.engine.report.thumbnails import LONG_SIDE_PX, PictureTask, RowPictures, jpeg, shrunk
from cancernet_cli.outputs.slides.heatmap import draw_heatmap
from cancernet_cli.outputs.slides.results import TileResults

_THUMBNAIL_PX = 1024
_TILE_PX = 224
_EACH = 3  # tiles with the highest probability, with the lowest, and nearest the threshold


def add_slide(found: RowPictures, task: PictureTask) -> None:
    """Add the thumbnail, the heat map unless a file holds it, and tiles.

    Raises:
        UnreadableSlide: the slide cannot be opened or has no readable thumbnail.
    """
    slide = open_slide(task.location)
    try:
        size = slide.levels[0]
        thumbnail = make_thumbnail(slide, downsample=max(1.0, max(size.width_px, size.height_px) / _THUMBNAIL_PX))
        pixels = shrunk(thumbnail.pixels)
        found.box = pixels.shape[1], pixels.shape[0]
        found.layers["image"] = jpeg(pixels)
        if task.tiles is None:
            return
        results = tile_results(task.tiles, slide)
        if "heatmaps" not in task.side_files and len(results):
            drawn = draw_heatmap(results, thumbnail.pixels, thumbnail.downsample, [])
            found.layers["heatmap"] = jpeg(shrunk(drawn, 2 * LONG_SIDE_PX))
        for why, at in telling_tiles(results):
            with suppress(UnreadableSlide):
                found.parts.append((why, float(results.values[at]), jpeg(_tile(slide, results, at))))
    finally:
        slide.close()


def tile_results(columns: Mapping[str, Any], slide: Slide) -> TileResults:
    """Columns of the tile table, as `pictures.PictureTask` has them, as the tiles of a slide."""
    size = slide.levels[0]
    x, y = np.asarray(columns["x"], np.int64), np.asarray(columns["y"], np.int64)
    probs = np.asarray(columns["probs"], np.float32).reshape(len(x), len(columns["classes"]))
    inside = (x < size.width_px) & (y < size.height_px)  # another file of the same name may be smaller
    labels = [None if np.isnan(row).any() else label for row, label in zip(probs, columns["labels"], strict=True)]
    return TileResults(
        slide=columns["slide"],
        width_px=size.width_px,
        height_px=size.height_px,
        mpp=columns["mpp"],
        tile_width_px=columns["width_px"],
        tile_height_px=columns["height_px"],
        x=x[inside],
        y=y[inside],
        probs=probs[inside],
        labels=[label for label, kept in zip(labels, inside.tolist(), strict=True) if kept],
        classes=tuple(columns["classes"]),
        positive=columns["positive"],
        threshold=columns["threshold"],
    )


def telling_tiles(results: TileResults) -> list[tuple[str, int]]:
    """The tiles with the highest and the lowest value and, of two classes, those nearest the threshold; each once."""
    values = results.values
    known = np.flatnonzero(np.isfinite(values))
    wanted: dict[str, F32] = {"highest": -values[known], "lowest": values[known]}
    if results.threshold is not None:
        wanted["at the threshold"] = np.abs(values[known] - results.threshold)
    found: list[tuple[str, int]] = []
    for why, keys in wanted.items():
        taken = {at for _, at in found}
        best = [at for at in known[np.argsort(keys, kind="stable")].tolist() if at not in taken]
        found += [(why, at) for at in best[:_EACH]]
    return found


def _tile(slide: Slide, results: TileResults, at: int) -> Any:
    """One tile, about 224 px wide."""
    number = level_for(slide, max(1.0, results.tile_width_px / _TILE_PX))
    factor = slide.levels[number].downsample
    left, top = round(int(results.x[at]) / factor), round(int(results.y[at]) / factor)
    width, height = (max(1, round(side / factor)) for side in (results.tile_width_px, results.tile_height_px))
    return shrunk(slide.read_level(number, left, top, width, height), _TILE_PX)
