"""Tables of a tile plan: one row per tile, and one row per slide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

_WORDS = pa.dictionary(pa.int32(), pa.string())

TILE_SCHEMA = pa.schema(
    [
        ("slide", _WORDS),
        ("x", pa.int64()),
        ("y", pa.int64()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("mpp", pa.float32()),
        ("tissue_fraction", pa.float32()),
        ("pen_fraction", pa.float32()),
    ]
)

SLIDE_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("status", _WORDS),
        ("error", pa.string()),
        ("vendor", _WORDS),
        ("width_px", pa.int64()),
        ("height_px", pa.int64()),
        ("levels", pa.int32()),
        ("mpp", pa.float32()),
        ("mpp_source", _WORDS),
        ("flags", pa.string()),
        ("tile_mpp", pa.float32()),
        ("tile_width_px", pa.int32()),
        ("tile_height_px", pa.int32()),
        ("view_width_px", pa.int32()),
        ("view_height_px", pa.int32()),
        ("grid_tiles", pa.int64()),
        ("tiles", pa.int64()),
        ("failed_tiles", pa.int64()),
        ("tissue_area_mm2", pa.float32()),
        ("tissue_fraction", pa.float32()),
        ("pen_fraction", pa.float32()),
    ]
)


def tile_batch(slide: str, count: int, columns: Mapping[str, Any]) -> pa.RecordBatch:
    """Rows of one slide's tiles; scalar columns are repeated."""
    made = {"slide": pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([slide]))}
    for field in TILE_SCHEMA:
        if field.name != "slide":
            value = columns[field.name]
            is_column = hasattr(value, "__len__")
            made[field.name] = (
                pa.array(value, field.type) if is_column else pa.repeat(pa.scalar(value, field.type), count)
            )
    return pa.record_batch([made[name] for name in TILE_SCHEMA.names], schema=TILE_SCHEMA)


def slide_table(rows: list[dict[str, Any]]) -> pa.Table:
    """One row per slide; missing values are null."""
    columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in SLIDE_SCHEMA]
    return pa.table(columns, schema=SLIDE_SCHEMA)
