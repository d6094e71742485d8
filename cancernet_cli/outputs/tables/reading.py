"""Read a table that may be Parquet or CSV, a part of it at a time."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from cancernet_cli.outputs.tables.cells import plain_schema, restored, restored_name
from cancernet_cli.outputs.tables.classified_tiles import classified_tile_schema
from cancernet_cli.outputs.tables.patient_table import patient_schema
from cancernet_cli.outputs.tables.predictions import table_schema
from cancernet_cli.outputs.tables.tile_table import SLIDE_SCHEMA

CSV_ENDINGS = (".csv", ".tsv")
_PROB = "prob_"
_BLOCK_BYTES = 1 << 22
_NULLS = ["", "NA", "NaN", "nan", "NULL", "null", "None"]  # without quotation marks


@dataclass(frozen=True)
class TableFile:
    """An open table. schema: its columns, and metadata if it has any. rows: None if their number is unknown."""

    path: Path
    schema: pa.Schema
    rows: int | None
    _parquet: pq.ParquetFile | None = None

    def batches(self, at_once: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows in order, about `at_once` at a time, with these columns or all."""
        if self._parquet is not None:
            yield from self._parquet.iter_batches(batch_size=at_once, columns=columns)
            return
        wanted = self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])
        for batch in _open_csv(self.path, self.schema.names, _types(self.schema.names)):
            yield pa.RecordBatch.from_arrays([_text(batch[name]) for name in wanted.names], schema=wanted)


@contextmanager
def open_table(path: Path) -> Iterator[TableFile]:
    """Open a table for reading; a file that ends in .csv or .tsv is text, any other Parquet.

    Columns that CancerNet writes have their types in CSV too, so that a patient "007" keeps its zeros; the types of
    others are those that the first rows suggest. Categories are text.

    Raises:
        OSError, ValueError, ArrowException: it cannot be read.
    """
    if path.suffix.lower() not in CSV_ENDINGS:
        with pq.ParquetFile(path) as file:
            yield TableFile(path, file.schema_arrow, file.metadata.num_rows, file)
        return
    names = _csv_names(path)
    with _open_csv(path, names, _types(names)) as reader:
        types = reader.schema.types
    yield TableFile(path, pa.schema(list(zip(names, types, strict=True))), None)


def is_csv(path: Path) -> bool:
    """Whether a file's name says that it is text."""
    return path.suffix.lower() in CSV_ENDINGS


def _csv_names(path: Path) -> list[str]:
    with _open_csv(path, None, {}) as reader:
        return [restored_name(name) for name in reader.schema.names]


def _open_csv(path: Path, names: list[str] | None, types: dict[str, pa.DataType]) -> pyarrow.csv.CSVStreamingReader:
    return pyarrow.csv.open_csv(
        path,
        pyarrow.csv.ReadOptions(
            use_threads=False, block_size=_BLOCK_BYTES, column_names=names, skip_rows=0 if names is None else 1
        ),
        pyarrow.csv.ParseOptions(delimiter=_delimiter(path), newlines_in_values=True),
        pyarrow.csv.ConvertOptions(
            column_types=types, null_values=_NULLS, strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )


def _delimiter(path: Path) -> str:
    """What separates the headings: a comma, a semicolon (Excel in many countries) or a tab."""
    with path.open("rb") as file:
        line = file.readline(1 << 20)
    return max(",;\t", key=lambda mark: line.count(mark.encode()))


@functools.cache
def _known_types() -> dict[str, pa.DataType]:
    schemas = (table_schema((), {}), classified_tile_schema((), {}), SLIDE_SCHEMA, patient_schema((), {}))
    return {field.name: field.type for schema in schemas for field in plain_schema(schema)}


def _types(names: Sequence[str]) -> dict[str, pa.DataType]:
    known = _known_types()
    types = {name: known[name] for name in names if name in known}
    return types | {name: pa.float32() for name in names if name.startswith(_PROB)}


def _text(column: pa.Array) -> pa.Array:
    return restored(column) if pa.types.is_string(column.type) else column
