"""Tables of a tile plan: one row per tile, and one row per slide."""

from __future__ import annotations

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
