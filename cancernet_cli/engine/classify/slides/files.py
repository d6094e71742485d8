"""The files that output sinks write for slides, and for the tiles in chosen regions of slides."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cancernet_cli.core.arrays import I64, Bools
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.files import real_path
from cancernet_cli.data.discovery.tables import TextTable
from cancernet_cli.data.loading.slides import DecodedTiles, TileSpan
from cancernet_cli.engine.classify.job import Job
from cancernet_cli.engine.classify.slides.state import SlideState
from cancernet_cli.engine.explain.explanations import Explanations
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.outputs.side_files import side_path
from cancernet_cli.outputs.sink import SlideResult, TellingTiles, TileMasks, shown_class

REGION_COLUMNS = ("slide", "x", "y", "width_px", "height_px")

Writes = list[Callable[[], None]]


def slide_writes(
    slide: SlideState, row: Mapping[str, Any], job: Job, explanations: Explanations | None = None
) -> Writes:
    """One write per sink for a classified slide; each makes its file when called.

    Args:
        row: the slide's prediction (`SlideState.predict`). explanations: None omits the sinks that need them.
    """
    telling = None if explanations is None else _telling(slide, row, explanations)
    sinks = [sink for sink in job.sinks if sink.writes("slide") and (telling or not sink.needs("explanation"))]
    if not sinks:
        return []
    name, thumbnail = real_path(slide.file.path), slide.plan.thumbnail
    tissue = None if job.options.tissue == "none" else slide.plan.tissue.mask
    result = SlideResult(slide.results(), row, job.card.name, thumbnail.pixels, thumbnail.downsample, tissue, telling)
    return [
        functools.partial(sink.sink.write_slide, result, side_path(sink.folder, name, sink.entry.facts["suffix"]))
        for sink in sinks
    ]


def _telling(slide: SlideState, row: Mapping[str, Any], explanations: Explanations) -> TellingTiles | None:
    """The most telling tiles whose views are there; None if there are none."""
    kept = slide.telling_views()
    if kept is None:
        return None
    numbers, views = kept
    classes = slide.card.architecture.classes
    shown = shown_class(row["label"], classes, [row[f"prob_{name}"] for name in classes])
    return TellingTiles(numbers, views, explanations.of_tiles(torch.from_numpy(views), shown))


def tile_writes(tiles: DecodedTiles, answer: Outputs, boxes: I64 | None, job: Job) -> Writes:
    """One write per sink for the tiles of a batch that intersect the slide's regions."""
    sinks = [sink for sink in job.sinks if sink.writes("tile")]
    if not sinks or boxes is None or answer.mask is None or not len(tiles.good):
        return []
    rows = np.flatnonzero(intersecting(tiles.span, boxes)[tiles.good])
    if not len(rows):
        return []
    numbers = tiles.good[rows]
    chosen = TileMasks(tiles.span.x[numbers].tolist(), tiles.span.y[numbers].tolist(), answer.mask[rows])
    name = real_path(tiles.span.file.path)
    return [
        functools.partial(sink.sink.write_tiles, chosen, side_path(sink.folder, name, f".{sink.name}"))
        for sink in sinks
    ]


def read_regions(file: Path) -> dict[str, I64]:
    """`[R, 4]` int64 by slide: left, top, right and bottom at level 0.

    Raises:
        InputError: a column is missing, or a value is not a number.
    """
    table = TextTable(file, REGION_COLUMNS)
    missing = [name for name in REGION_COLUMNS if name not in table.columns]
    if missing:
        raise InputError(
            f"{file} has no column {', '.join(missing)}",
            fix=f"provide a CSV or Parquet file with {','.join(REGION_COLUMNS)}, such as rows of a tile table",
        )
    found: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    for line, values in table:
        try:
            x, y, width, height = (round(float(str(values[name]))) for name in REGION_COLUMNS[1:])
        except ValueError:
            raise InputError(
                f"{table.where(line)} has a position or size that is not a number",
                fix="give x, y, width_px and height_px in pixels of level 0",
            ) from None
        found[str(values["slide"])].append((x, y, x + width, y + height))
    return {slide: np.array(boxes, np.int64) for slide, boxes in found.items()}


def intersecting(span: TileSpan, boxes: I64) -> Bools:
    """`[T]` bool: which tiles share a pixel with one of the boxes."""
    left, top, right, bottom = boxes.T[:, None]
    across = (span.x[:, None] < right) & (span.x[:, None] + span.size.width_px > left)
    down = (span.y[:, None] < bottom) & (span.y[:, None] + span.size.height_px > top)
    return np.asarray((across & down).any(axis=1))
