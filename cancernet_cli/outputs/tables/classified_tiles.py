"""The table of classified tiles: its columns, and how a finished run's parts become one file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cancernet_cli.outputs.tables.predictions import METADATA_PREFIX, ROW_GROUP_ROWS, TABLE_SCHEMA

_WORDS = pa.dictionary(pa.int32(), pa.string())
# Kept in parts only: the tile's place in its slide's plan, and which state of the slide it was read from.
_ORIGIN = [pa.field("_number", pa.int64()), pa.field("_size_bytes", pa.int64()), pa.field("_mtime_ns", pa.int64())]


def classified_tile_schema(classes: Sequence[str], metadata: Mapping[str, str]) -> pa.Schema:
    """The columns of the tile table, in order; `metadata` as in the main table."""
    columns = [
        ("slide", _WORDS),
        ("x", pa.int64()),
        ("y", pa.int64()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("mpp", pa.float32()),
        ("status", _WORDS),
        ("error", pa.string()),
        ("label", _WORDS),
        *((f"prob_{name}", pa.float32()) for name in classes),
        ("mask_fraction", pa.float32()),
        ("tissue_fraction", pa.float32()),
        ("pen_fraction", pa.float32()),
        ("blur", pa.float32()),
        ("is_blurred", pa.bool_()),
    ]
    entries = {METADATA_PREFIX + name: value for name, value in {"schema": str(TABLE_SCHEMA), **metadata}.items()}
    return pa.schema(columns, metadata=entries)


def tile_part_schema(schema: pa.Schema) -> pa.Schema:
    """The columns as a part holds them: plain strings, and where each tile is from."""
    plain = [f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f for f in schema]
    return pa.schema([*plain, *_ORIGIN])


def slides_in(part: Path) -> list[str]:
    """The slides of which a part holds tiles."""
    return list(pc.unique(pq.read_table(part, columns=["slide"])["slide"]).to_pylist())


def tiles_of(slide: str, size_bytes: int, mtime_ns: int, parts: Iterable[Path]) -> pa.Table | None:
    """What parts hold of one slide as it is now, by place in its plan, the newest of each tile; None where nothing.

    Args:
        parts: the oldest first.
    """
    found = []
    for part in parts:
        rows = pq.read_table(part)
        found.append(
            rows.filter(
                pc.and_(
                    pc.equal(rows["slide"], slide),
                    pc.and_(pc.equal(rows["_size_bytes"], size_bytes), pc.equal(rows["_mtime_ns"], mtime_ns)),
                )
            )
        )
    if not any(map(len, found)):
        return None
    rows = pa.concat_tables(found)
    numbers = rows["_number"].to_numpy()
    _, first = np.unique(numbers[::-1], return_index=True)  # of the reversed: the newest of each
    return rows.take(pa.array(len(numbers) - 1 - first))


def numbered_tiles(table: Path, slide: str) -> pa.Table:
    """The tiles of one slide in a finished tile table, with their place in its plan as a part has it."""
    rows = pq.read_table(table, filters=[("slide", "=", slide)])
    return rows.append_column("_number", pa.array(np.arange(len(rows)), pa.int64()))


def write_tile_table(slides: Iterable[pa.Table], out: Path, schema: pa.Schema) -> None:
    """Write the tiles of all slides, in their order, into one file: the same bytes however they were parted."""
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for rows in _row_groups(table.select(schema.names) for table in slides):
            writer.write_table(rows.combine_chunks().cast(schema), row_group_size=ROW_GROUP_ROWS)


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows of all tables in groups of one size; the last may be smaller."""
    waiting: pa.Table | None = None
    for table in tables:
        waiting = table if waiting is None else pa.concat_tables([waiting, table])
        while len(waiting) >= ROW_GROUP_ROWS:
            yield waiting.slice(0, ROW_GROUP_ROWS)
            waiting = waiting.slice(ROW_GROUP_ROWS)
    if waiting is not None and len(waiting):
        yield waiting
