"""Tables of `cancernet segment`: one row per nucleus, and one row per file."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cancernet_cli.core.figures import MASK_FIGURES
from cancernet_cli.core.records import FoundFile
from cancernet_cli.outputs.tables.predictions import metadata_entries, row_batch

NUCLEI_SCHEMA = 1  # version of the columns
WHOLE = -1  # `_number` of the row with all nuclei of a file; other numbers are tiles of a slide

_WORDS = pa.dictionary(pa.int32(), pa.string())
_LIST = pa.list_(pa.float32())
MEASURES = ("x", "y", "area", "perimeter", "eccentricity", "solidity", "hematoxylin", "eosin")

# In parts: the nuclei of a whole file, or of a tile. `outline` has the rings of a tile's nuclei, x and y in turn.
PART_SCHEMA = pa.schema(
    [
        ("slide", pa.string()),
        ("_number", pa.int64()),
        ("_size_bytes", pa.int64()),
        ("_mtime_ns", pa.int64()),
        ("error", pa.string()),
        ("label", pa.list_(pa.int64())),
        *((name, _LIST) for name in MEASURES),
        ("outline", pa.list_(_LIST)),
    ]
)


def nuclei_schema(metadata: Mapping[str, str]) -> pa.Schema:
    """Columns of nuclei.parquet, in order."""
    columns = [
        ("path", _WORDS),
        ("id", pa.int64()),
        ("x", pa.float32()),
        ("y", pa.float32()),
        ("area_px", pa.float32()),
        ("area_um2", pa.float32()),
        ("perimeter_px", pa.float32()),
        ("eccentricity", pa.float32()),
        ("solidity", pa.float32()),
        ("hematoxylin", pa.float32()),
        ("eosin", pa.float32()),
        ("patient", _WORDS),
    ]
    return pa.schema(columns, metadata=metadata_entries(metadata))


def images_schema(metadata: Mapping[str, str]) -> pa.Schema:
    """Columns of images.parquet, in order."""
    columns = [
        ("path", pa.string()),
        ("kind", _WORDS),
        ("status", _WORDS),
        ("error", pa.string()),
        ("flags", _WORDS),
        ("patient", _WORDS),
        ("slide", _WORDS),
        ("magnification", pa.float32()),
        ("mpp", pa.float32()),
        ("mpp_source", _WORDS),
        ("width_px", pa.int64()),
        ("height_px", pa.int64()),
        ("scale", pa.float32()),
        ("tiles", pa.int32()),
        ("failed_tiles", pa.int32()),
        ("nuclei", pa.int64()),
        ("tissue_fraction", pa.float32()),
        ("tissue_area_mm2", pa.float32()),
        ("nuclei_per_mm2", pa.float32()),
        ("mask_fraction", pa.float32()),
        ("mean_area_px", pa.float32()),
        ("mean_area_um2", pa.float32()),
        ("mean_hematoxylin", pa.float32()),
        ("mean_eosin", pa.float32()),
        ("true_nuclei", pa.int64()),
        ("true_instances", pa.bool_()),
        *((spec.name, pa.float32()) for spec in MASK_FIGURES),
        ("model", _WORDS),
    ]
    return pa.schema(columns, metadata=metadata_entries(metadata))


def nuclei_batch(
    file: FoundFile, number: int, values: Mapping[str, Any], *, error: str = "", outlines: Any = None
) -> pa.RecordBatch:
    """One row of a part: the nuclei of a whole file (`WHOLE`), or of a tile of it.

    Args:
        values: `label` and each of `MEASURES`, `[N]`. outlines: N rings `[P, 2]`, for tiles.
    """
    columns: dict[str, Any] = {
        "slide": file.path,
        "_number": number,
        "_size_bytes": file.size_bytes,
        "_mtime_ns": file.mtime_ns,
        "error": error,
        **{name: [values[name]] for name in ("label", *MEASURES)},
        "outline": [None if outlines is None else [ring.reshape(-1) for ring in outlines]],
    }
    return row_batch(columns, 1, PART_SCHEMA)


def nuclei_tables(
    files: Iterator[tuple[FoundFile, int]],
    parts: Mapping[int, Path],
    resolution: Mapping[str, float],
    schema: pa.Schema,
) -> Iterator[pa.Table]:
    """The rows of nuclei.parquet, one table per file that has nuclei.

    Args:
        files: each with the number of the part that has its row.
        resolution: micrometers per pixel by path, where it is known.
    """

    @functools.lru_cache(maxsize=4)
    def whole_files(number: int) -> dict[str, pa.Table]:
        table = pq.read_table(parts[number], columns=["slide", "_number", "label", *MEASURES])
        rows = np.flatnonzero(table["_number"].to_numpy() == WHOLE).tolist()
        return {table["slide"][row].as_py(): table.slice(row, 1) for row in rows}

    for file, number in files:
        row = whole_files(number).get(file.path) if number in parts else None
        if row is not None and len(row["label"][0]):
            yield _exploded(file, row, resolution.get(file.path), schema)


def _exploded(file: FoundFile, row: pa.Table, mpp: float | None, schema: pa.Schema) -> pa.Table:
    columns = {name: row[name].combine_chunks().flatten() for name in ("label", *MEASURES)}
    area = columns["area"].to_numpy()
    count = len(area)
    columns |= {
        "id": columns["label"],
        "area_px": columns["area"],
        "perimeter_px": columns["perimeter"],
        "path": pa.array([file.path] * count, pa.string()).dictionary_encode(),
        "area_um2": pa.nulls(count, pa.float32()) if mpp is None else pa.array(area * np.float32(mpp**2)),
        "patient": pa.array([file.truth.patient] * count, pa.string()).dictionary_encode(),
    }
    return pa.table([columns[field.name].cast(field.type) for field in schema], schema=schema)
