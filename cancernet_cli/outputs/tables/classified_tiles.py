"""Table of classified tiles: its columns, and assembling it from the parts of a run."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cancernet_cli.core.records import FoundFile
from cancernet_cli.outputs.tables.predictions import ROW_GROUP_ROWS, metadata_entries, part_schema
from cancernet_cli.outputs.tables.tile_table import TILE_SCHEMA

_WORDS = pa.dictionary(pa.int32(), pa.string())


def classified_tile_schema(classes: Sequence[str], metadata: Mapping[str, str]) -> pa.Schema:
    """Columns of the tile table, in order; `metadata` as in the main table."""
    *place, tissue, pen = TILE_SCHEMA
    columns = [
        *place,
        ("status", _WORDS),
        ("error", pa.string()),
        ("label", _WORDS),
        ("flags", _WORDS),
        ("novelty", pa.float32()),
        *((f"prob_{name}", pa.float32()) for name in classes),
        ("mask_fraction", pa.float32()),
        tissue,
        pen,
        ("blur", pa.float32()),
        ("is_blurred", pa.bool_()),
        ("brightness", pa.float32()),
    ]
    return pa.schema(columns, metadata=metadata_entries(metadata))


def tile_part_schema(schema: pa.Schema) -> pa.Schema:
    """The columns of a part (`predictions.part_schema`), with each tile's index in its slide's plan."""
    return part_schema(schema).insert(len(schema), pa.field("_number", pa.int64()))


def slides_in(part: Path) -> list[str]:
    """Slides whose tiles a part contains."""
    return list(pc.unique(pq.read_table(part, columns=["slide"])["slide"]).to_pylist())


def tiles_of(file: FoundFile, parts: Iterable[Path]) -> pa.Table | None:
    """The newest row in `parts` of each tile of a slide as it is now, by index; None if there are none.

    Args:
        parts: oldest first.
    """
    origin = {"slide": file.path, "_size_bytes": file.size_bytes, "_mtime_ns": file.mtime_ns}
    is_current = functools.reduce(operator.and_, (pc.field(name) == value for name, value in origin.items()))
    found = [pq.read_table(part).filter(is_current) for part in parts]
    if not any(map(len, found)):
        return None
    rows = pa.concat_tables(found)
    numbers = rows["_number"].to_numpy()
    _, first = np.unique(numbers[::-1], return_index=True)  # in reverse order: the newest of each
    return rows.take(pa.array(len(numbers) - 1 - first))


def numbered_tiles(table: Path, slide: str) -> pa.Table:
    """The tiles of one slide in a finished tile table, with their index in its plan as in a part."""
    rows = pq.read_table(table, filters=[("slide", "=", slide)])
    return rows.append_column("_number", pa.array(np.arange(len(rows)), pa.int64()))


def write_tile_table(slides: Iterable[pa.Table], out: Path, schema: pa.Schema) -> None:
    """Write the tiles of all slides, in order, to one file; its bytes do not depend on the parts."""
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for rows in _row_groups(table.select(schema.names) for table in slides):
            writer.write_table(rows.combine_chunks().cast(schema), row_group_size=ROW_GROUP_ROWS)


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Regroup the rows of all tables into groups of `ROW_GROUP_ROWS`; the last may be smaller."""
    waiting: pa.Table | None = None
    for table in tables:
        waiting = table if waiting is None else pa.concat_tables([waiting, table])
        while len(waiting) >= ROW_GROUP_ROWS:
            yield waiting.slice(0, ROW_GROUP_ROWS)
            waiting = waiting.slice(ROW_GROUP_ROWS)
    if waiting is not None and len(waiting):
        yield waiting
