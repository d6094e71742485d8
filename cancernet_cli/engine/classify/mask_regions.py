"""The regions of slides whose masks are wanted."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from cancernet_cli.core.arrays import I64, Bools
from cancernet_cli.core.errors import InputError
from cancernet_cli.data.discovery.tables import TextTable
from cancernet_cli.data.loading.slides import TileSpan

COLUMNS = ("slide", "x", "y", "width_px", "height_px")


def read_regions(file: Path) -> dict[str, I64]:
    """`[R, 4]` int64 by slide: left, top, right and bottom at level 0.

    Raises:
        InputError: a column is missing, or a number is none.
    """
    table = TextTable(file, COLUMNS)
    lacking = [name for name in COLUMNS if name not in table.columns]
    if lacking:
        raise InputError(
            f"{file} has no column {', '.join(lacking)}",
            fix=f"give a CSV or Parquet file with {','.join(COLUMNS)}, such as rows of a tile table",
        )
    found: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    for line, values in table:
        try:
            x, y, width, height = (round(float(str(values[name]))) for name in COLUMNS[1:])
        except ValueError:
            raise InputError(
                f"{table.where(line)} has a place or size that is no number",
                fix="give x, y, width_px and height_px in pixels of level 0",
            ) from None
        found[str(values["slide"])].append((x, y, x + width, y + height))
    return {slide: np.array(boxes, np.int64) for slide, boxes in found.items()}


def touched(span: TileSpan, boxes: I64) -> Bools:
    """Which of T tiles have a pixel in common with one of the boxes, `[T]`."""
    left, top, right, bottom = boxes.T[:, None]
    across = (span.x[:, None] < right) & (span.x[:, None] + span.size.width_px > left)
    down = (span.y[:, None] < bottom) & (span.y[:, None] + span.size.height_px > top)
    return np.asarray((across & down).any(axis=1))
