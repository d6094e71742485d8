"""Stream rows of text from CSV and Parquet files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cancernet_cli.core.errors import InputError

_BATCH_ROWS = 4096


class TextTable:
    """A CSV or Parquet file with named columns, in lower case.

    Iteration yields (line, values of the `wanted` columns by name); lines of a CSV are counted as in an editor, rows of
    a Parquet file from 1. Empty cells are None.
    """

    def __init__(self, file: Path, wanted: Sequence[str]) -> None:
        self.file = file
        self.is_csv = file.suffix.lower() != ".parquet"
        self._wanted = wanted
        with_names = _csv_header(file)[0] if self.is_csv else _parquet_names(file)
        self.columns = [name.strip().lower() for name in with_names]
        twice = {name for name in wanted if self.columns.count(name) > 1}
        if twice:
            raise InputError(f"{file} has two columns named {min(twice)!r}", fix="rename one of them")

    def where(self, line: int) -> str:
        """A row's location, for messages."""
        return f"{self.file} {'line' if self.is_csv else 'row'} {line}"

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        places = {name: self.columns.index(name) for name in self._wanted if name in self.columns}
        return self._csv_rows(places) if self.is_csv else self._parquet_rows(places)

    def _csv_rows(self, places: dict[str, int]) -> Iterator[tuple[int, dict[str, Any]]]:
        _, delimiter = _csv_header(self.file)
        with self.file.open("rb") as raw:
            rows = csv.reader(_decoded(raw, self.file), delimiter=delimiter, strict=True)
            try:
                next(rows)
                for row in rows:
                    if not row:
                        continue
                    if len(row) > len(self.columns):
                        raise InputError(
                            f"{self.where(rows.line_num)} has {len(row)} values but {len(self.columns)} columns",
                            fix="enclose values that contain the separator in double quotes",
                        )
                    row += [""] * (len(self.columns) - len(row))
                    yield rows.line_num, {name: row[place].strip() or None for name, place in places.items()}
            except csv.Error as error:
                raise InputError(
                    f"{self.where(rows.line_num)} is not valid CSV: {error}", fix="check its quoting"
                ) from None

    def _parquet_rows(self, places: dict[str, int]) -> Iterator[tuple[int, dict[str, Any]]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        line = 0
        try:
            with pq.ParquetFile(self.file, pre_buffer=False, buffer_size=1 << 16) as table:
                real = [table.schema_arrow.names[place] for place in places.values()]
                for batch in table.iter_batches(_BATCH_ROWS, columns=real):
                    columns = [batch.column(name).to_pylist() for name in real]
                    for values in zip(*columns, strict=True):
                        line += 1
                        yield line, {n: None if v == "" else v for n, v in zip(places, values, strict=True)}
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # a timestamp that Python cannot hold
            raise _unreadable(self.file, error) from None


def _csv_header(file: Path) -> tuple[list[str], str]:
    """Column names and the separator: a comma, or a semicolon or tab as Excel may write."""
    try:
        with file.open("rb") as raw:
            first = next(_decoded(raw, file), "")
    except OSError as error:
        raise _unreadable(file, error) from None
    delimiter = next((mark for mark in (",", ";", "\t") if mark in first), ",")
    return next(csv.reader([first], delimiter=delimiter), []), delimiter


def _decoded(raw: Any, file: Path) -> Iterator[str]:
    """Decode lines one by one, so that errors have line numbers."""
    for number, line in enumerate(raw, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{file} line {number}, byte {error.start + 1} is not UTF-8 ({line[error.start : error.start + 4]!r})",
                fix="save it as UTF-8",
            ) from None


def _parquet_names(file: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(file).names)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: BaseException) -> InputError:
    words = getattr(error, "strerror", None) or " ".join(str(error).split())
    return InputError(f"{file} cannot be read: {words}", fix="check that it is a complete CSV (UTF-8) or Parquet file")
