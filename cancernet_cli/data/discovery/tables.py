"""Stream rows of text from CSV and Parquet files."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.files import real_path
from cancernet_cli.core.text import words_of
from cancernet_cli.data.discovery.entries import absolute

_BATCH_ROWS = 4096
_FACTS = frozenset({"patient", "case", "slide", "magnification", "mpp", "fold", "split"})
# What R, pandas, Excel and databases write for a missing value; it is nobody's name.
_MISSING = frozenset({"na", "n/a", "#n/a", "<na>", "nan", "none", "null", "nil", "-", "?"})
_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)  # Excel's first line, which is no data
_ESCAPED_BYTE = re.compile(r"\\x[0-9a-f]{2}")
_HEADER_BYTES = 1 << 20


def is_missing(value: str) -> bool:
    """Whether a cell or name says that a value is unknown, such as `NA`, `nan` or `None`."""
    return value.strip().casefold() in _MISSING


class TextTable:
    """A CSV or Parquet file with named columns, in lower case.

    Iteration yields (line, values of the `wanted` columns by name); lines of a CSV are counted as in an editor, rows of
    a Parquet file from 1. Text is stripped; empty cells are None, and so are `NA`, `nan`, `None` and the like where a
    column states a fact about the file, such as its patient. Whole numbers in a Parquet file are integers, as they may
    be floats only because the column has gaps.
    """

    def __init__(self, file: Path, wanted: Sequence[str]) -> None:
        self.file = file
        self.is_csv = file.suffix.lower() != ".parquet"
        self._wanted = wanted
        self._folder = os.path.dirname(absolute(os.fsencode(file)))
        self._format = _csv_format(file) if self.is_csv else None
        with_names = self._format.header if self._format else _parquet_names(file)
        self.columns = [name.strip().lower() for name in with_names]
        twice = {name for name in wanted if self.columns.count(name) > 1}
        if twice:
            raise InputError(f"{file} has two columns named {min(twice)!r}", fix="rename one of them")

    def where(self, line: int) -> str:
        """A row's location, for messages."""
        return f"{self.file} {'line' if self.is_csv else 'row'} {line}"

    def real_name(self, cell: Any) -> bytes:
        """The file name in a cell, as bytes (`core.files.real_path`).

        A name with backslashes from Windows becomes one with slashes, unless a file has it as it is.
        """
        name = real_path(cell)
        if os.sep != "/" or not isinstance(cell, str) or "\\" not in cell:
            return name
        slashed = real_path(cell.replace("\\", "/"))
        exists = [os.path.lexists(absolute(one, self._folder)) for one in (name, slashed)]
        # The names in tables of this program may have escapes such as \xff.
        return name if exists[0] or (_ESCAPED_BYTE.search(cell) and not exists[1]) else slashed

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        places = {name: self.columns.index(name) for name in self._wanted if name in self.columns}
        return self._csv_rows(places) if self.is_csv else self._parquet_rows(places)

    def _csv_rows(self, places: dict[str, int]) -> Iterator[tuple[int, dict[str, Any]]]:
        assert self._format
        skipped = self._format.header_line - 1
        with self.file.open("rb") as raw:
            lines = islice(_decoded(raw, self.file), skipped, None)
            rows = csv.reader(lines, delimiter=self._format.delimiter, strict=True)
            try:
                next(rows)
                for row in rows:
                    if not row:
                        continue
                    line = rows.line_num + skipped
                    if len(row) > len(self.columns):
                        raise InputError(
                            f"{self.where(line)} has {len(row)} values but {len(self.columns)} columns",
                            fix="enclose values that contain the separator in double quotes",
                        )
                    row += [""] * (len(self.columns) - len(row))
                    yield line, {name: _cell(row[place], name) for name, place in places.items()}
            except csv.Error as error:
                raise InputError(
                    f"{self.where(rows.line_num + skipped)} is not valid CSV: {error}", fix="check its quoting"
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
                        yield line, {n: _cell(v, n) for n, v in zip(places, values, strict=True)}
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # such as a time out of range
            raise _unreadable(self.file, error) from None


def _cell(value: Any, column: str) -> Any:
    """A cell as iteration yields it."""
    if isinstance(value, float):
        return None if value != value else int(value) if value.is_integer() else value
    if isinstance(value, bytes) and column in _FACTS:
        value = value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        value = value.strip()
        if column in _FACTS and is_missing(value):
            return None
    return None if value in ("", b"") else value


@dataclass(frozen=True)
class _CsvFormat:
    """Column names, the separator, and the number of the line with the names."""

    header: list[str]
    delimiter: str
    header_line: int


def _csv_format(file: Path) -> _CsvFormat:
    """The separator is a comma, or a semicolon or tab as Excel may write; Excel may also name it in the first line."""
    try:
        with file.open("rb") as raw:
            lines = _decoded(raw, file)
            first = next(lines, "")
            named = _SEPARATOR.fullmatch(first.rstrip("\r\n").strip('"'))
            if named:
                first = next(lines, "")
    except OSError as error:
        raise _unreadable(file, error) from None
    marks = ("\t", ",", ";") if file.suffix.lower() in (".tsv", ".tab") else (",", ";", "\t")
    delimiter = named[1] if named else next((mark for mark in marks if mark in first), ",")
    try:
        header = next(csv.reader([first], delimiter=delimiter), [])
    except csv.Error as error:
        raise InputError(f"{file} line 1 is not valid CSV: {error}", fix="check its quoting") from None
    return _CsvFormat(header, delimiter, 2 if named else 1)


def _decoded(raw: IO[bytes], file: Path) -> Iterator[str]:
    """Decode lines one by one, so that errors have line numbers."""
    for number, line in enumerate(_lines(raw), start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{file} line {number}, byte {error.start + 1} is not UTF-8 ({line[error.start : error.start + 4]!r})",
                fix="save it as UTF-8",
            ) from None


def _lines(raw: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file; a carriage return alone ends them if it ends the first one, as on a Mac before 2001."""
    first = raw.readline(_HEADER_BYTES)
    raw.seek(0)
    if b"\r" not in first.rstrip(b"\r\n"):
        return iter(raw)
    # Latin-1 keeps each byte
    return (line.encode("latin-1") for line in io.TextIOWrapper(raw, "latin-1", newline=""))


def _parquet_names(file: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(file).names)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: BaseException) -> InputError:
    return InputError(
        f"{file} cannot be read: {words_of(error)}", fix="check that it is a complete CSV (UTF-8) or Parquet file"
    )
