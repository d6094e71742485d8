"""Predictions table: its columns, and assembling it from the parts of a run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cancernet_cli.core.arrays import I64, Bools
from cancernet_cli.core.choices import UNSURE
from cancernet_cli.core.files import atomic_write
from cancernet_cli.core.records import FoundFile

TABLE_SCHEMA = 3
ROW_GROUP_ROWS = 4096
METADATA_PREFIX = "cancernet."

_WORDS = pa.dictionary(pa.int32(), pa.string())
# In parts only: the version of the file that a row was made from.
_ORIGIN = [pa.field("_size_bytes", pa.int64()), pa.field("_mtime_ns", pa.int64())]


def table_schema(classes: Sequence[str], metadata: Mapping[str, str]) -> pa.Schema:
    """Columns of the table, in order; `metadata` is everything that determines the result."""
    columns = [
        ("path", pa.string()),
        ("kind", _WORDS),
        ("status", _WORDS),
        ("error", pa.string()),
        ("label", _WORDS),
        ("flags", _WORDS),
        ("novelty", pa.float32()),
        *((f"prob_{name}", pa.float32()) for name in classes),
        ("decision_threshold", pa.float32()),
        ("patient", _WORDS),
        ("slide", _WORDS),
        ("magnification", pa.float32()),
        ("mpp", pa.float32()),
        ("true_label", _WORDS),
        ("seen_in_training", pa.bool_()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("mask_fraction", pa.float32()),
        ("blur", pa.float32()),
        ("brightness", pa.float32()),
        ("tissue_fraction", pa.float32()),
        ("views", pa.int32()),
        ("tiles", pa.int32()),
        ("failed_tiles", pa.int32()),
        ("positive_tile_fraction", pa.float32()),
        ("blurred_tile_fraction", pa.float32()),
        ("pen_fraction", pa.float32()),
        ("mpp_source", _WORDS),
        ("model", _WORDS),
    ]
    return pa.schema(columns, metadata=metadata_entries(metadata))


def metadata_entries(metadata: Mapping[str, str]) -> dict[str, str]:
    """Parquet key-value metadata of a table, with the version of its columns."""
    return {METADATA_PREFIX + name: value for name, value in {"schema": str(TABLE_SCHEMA), **metadata}.items()}


def row_batch(columns: Mapping[str, Any], count: int, schema: pa.Schema) -> pa.RecordBatch:
    """`count` rows in the schema's order; scalars are repeated, missing columns and NaN in arrays become null."""
    arrays = []
    for field in schema:
        value = columns.get(field.name)
        is_column = isinstance(value, (list, np.ndarray))
        arrays.append(
            pa.array(value if is_column else [value] * count, field.type, from_pandas=isinstance(value, np.ndarray))
        )
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def part_schema(schema: pa.Schema) -> pa.Schema:
    """The columns of a part: the table's, as plain strings, and the file's size and modification time."""
    plain = [f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f for f in schema]
    return pa.schema([*plain, *_ORIGIN])


def read_metadata(table: Path) -> dict[str, str] | None:
    """What determined a table's result, from its metadata; None if the file is not a table written by CancerNet."""
    try:
        found = pq.read_schema(table).metadata or {}
    except (OSError, ValueError, pa.ArrowException):
        return None
    prefix = METADATA_PREFIX.encode()
    entries = {
        k.removeprefix(prefix).decode(errors="replace"): v.decode(errors="replace")
        for k, v in found.items()
        if k.startswith(prefix)
    }
    return entries or None


def part_origins(part: Path, *, retry: bool) -> Iterator[tuple[int, str, int, int, float | None, float | None]]:
    """Yield (row, path, size_bytes, mtime_ns, magnification, mpp) of the rows of a part.

    `retry` omits files that could not be read: permissions or a network drive may be restored by the next run.
    """
    table = pq.read_table(part, columns=["path", "error", "_size_bytes", "_mtime_ns", "magnification", "mpp"])
    columns = (table.column(name).to_pylist() for name in table.column_names)
    for row, (path, error, *origin) in enumerate(zip(*columns, strict=True)):
        if not (retry and error.startswith("read: ")):
            yield row, path, *origin


def assemble(
    rows: Iterable[tuple[int, int]],
    parts: Mapping[int, Path],
    out: Path,
    schema: pa.Schema,
) -> None:
    """Write the rows, given as (part, row) in path order, to one file.

    Row groups are rebuilt with a fixed number of rows, so that the bytes do not depend on the parts or on the runs that
    wrote them.
    """
    names = [f.name for f in schema]

    @functools.lru_cache(maxsize=8)
    def part(number: int) -> pa.Table:
        return pq.read_table(parts[number], columns=names)

    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        places = iter(rows)
        while window := list(islice(places, ROW_GROUP_ROWS)):
            writer.write_table(_gather(window, part).cast(schema), row_group_size=ROW_GROUP_ROWS)


def write_image_predictions(
    path: Path,
    files: Sequence[FoundFile],
    classes: Sequence[str],
    *,
    probs: NDArray[np.floating[Any]],
    predicted: I64,
    labels: I64,
    thresholds: NDArray[np.floating[Any]],
    metadata: Mapping[str, str],
    unsure: Bools | bool = False,
) -> None:
    """Write predictions of labelled images as a whole table.

    Args:
        probs: `[N, K]`. predicted, labels: `[N]`, class numbers. thresholds: `[N]`, NaN where none decided.
        metadata: as in `table_schema`; `model` also fills the column of that name.
        unsure: `[N]`, whose label is `unsure` instead of the class in `predicted`.

    Raises:
        OutputError: it cannot be written.
    """
    schema, names = table_schema(classes, metadata), np.array(classes)
    columns: dict[str, Any] = {
        "path": [file.path for file in files],
        "kind": "image",
        "status": "ok",
        "error": "",
        "label": np.where(unsure, UNSURE, names[predicted]).tolist(),
        "flags": "",
        **{f"prob_{name}": probs[:, k].tolist() for k, name in enumerate(classes)},
        "decision_threshold": thresholds,
        "patient": [file.truth.patient for file in files],
        "slide": [file.truth.slide for file in files],
        "magnification": [file.truth.magnification or None for file in files],
        "mpp": [file.truth.mpp for file in files],
        "true_label": names[labels].tolist(),
        "model": metadata["model"],
    }
    table = pa.Table.from_batches([row_batch(columns, len(files), schema)])
    with atomic_write(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", row_group_size=ROW_GROUP_ROWS)


def _gather(window: Sequence[tuple[int, int]], part: Callable[[int], pa.Table]) -> pa.Table:
    """The rows of one window, in its order, reading each part once."""
    places: dict[int, list[tuple[int, int]]] = {}
    for place, (number, row) in enumerate(window):
        places.setdefault(number, []).append((row, place))
    taken = [part(number).take(pa.array([row for row, _ in pairs])) for number, pairs in places.items()]
    order = [place for pairs in places.values() for _, place in pairs]
    return pa.concat_tables(taken).take(pc.sort_indices(pa.array(order, pa.int64()))).combine_chunks()
