"""Write a table again in another format: Parquet, CSV or Excel."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from cancernet_cli.core.errors import InputError, OptionError, OutputError
from cancernet_cli.core.events import Reporter, silent
from cancernet_cli.core.files import atomic_write, display_path
from cancernet_cli.core.options.base import chosen
from cancernet_cli.core.options.convert import ConvertOptions
from cancernet_cli.core.results import Result
from cancernet_cli.outputs.tables.predictions import ROW_GROUP_ROWS
from cancernet_cli.outputs.tables.reading import CSV_ENDINGS, TableFile, is_csv, open_table
from cancernet_cli.outputs.tables.spreadsheets import FORMATS, check_size, shown, write_rows


@dataclass(frozen=True)
class ConvertResult(Result):
    """A finished conversion.

    Attributes:
        table_file: The table that was read.
        out: The file that was written.
        rows: The number of rows.
        columns: The number of columns.
    """

    table_file: Path
    out: Path
    rows: int
    columns: int

    def table(self) -> pa.Table:
        """The rows that were read, as an Arrow table."""
        with open_table(self.table_file) as file:
            return pa.Table.from_batches(file.batches(ROW_GROUP_ROWS), file.schema)


def convert(
    table: str | Path,
    out: str | Path,
    options: ConvertOptions | None = None,
    report: Reporter = silent,
    **changes: Any,
) -> ConvertResult:
    """Write a table again in the format that the ending of `out` names: .parquet, .csv or .xlsx.

    It is read and written some rows at a time, so its size does not matter. Text that a spreadsheet would evaluate as a
    formula gets an apostrophe in front, which reading a CSV file with CancerNet removes again.

    Args:
        table: Any table that CancerNet writes, as Parquet, or as CSV (also with `;` or tabs).
        out: The file to write.
        options: Whether an existing file may be replaced.
        report: Called with progress, notes and warnings (`core.events`).
        changes: Options by name that override `options`, as in `convert("p.parquet", "p.xlsx", overwrite=True)`.

    Returns:
        The file, and its numbers of rows and columns.

    Raises:
        InputError: The table does not exist or cannot be read, or has columns that do not fit into cells.
        OptionError: The ending of `out` is another one, or both are the same file.
        OutputError: The file exists and `overwrite` is off, it cannot be written, or there are more rows than Excel
            can hold.
    """
    options = chosen(ConvertOptions, options, changes)
    source, to = Path(table), Path(out)
    ending = to.suffix.lower()
    _check(source, to, overwrite=options.overwrite)
    try:
        with open_table(source) as file:
            if file.rows is not None:
                check_size(file.rows, to, len(file.schema))
            with atomic_write(to) as temporary:
                counted = _Counted(file, report, to.name)
                rows = _rows(source) if file.rows is None and ending == ".xlsx" else file.rows or 0
                check_size(rows, to, len(file.schema))
                write_rows(iter(counted), file.schema, rows, temporary, ending)
            return ConvertResult(source, to, counted.rows, len(file.schema))
    except TypeError as error:
        raise InputError(f"{display_path(bytes(source))}: {error}", fix="convert it to .parquet instead") from None
    except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
        raise _unreadable(source, error) from error


class _Counted:
    """The batches of an open table, counted."""

    def __init__(self, file: TableFile, report: Reporter, name: str) -> None:
        self._batches = shown(file.batches(ROW_GROUP_ROWS), file.rows, name, report)
        self.rows = 0

    def __iter__(self) -> Any:
        for batch in self._batches:
            self.rows += len(batch)
            yield batch


def _rows(source: Path) -> int:
    """The number of rows of a CSV file, by reading it."""
    with open_table(source) as file:
        return sum(map(len, file.batches(ROW_GROUP_ROWS)))


def _check(source: Path, to: Path, *, overwrite: bool) -> None:
    ending = to.suffix.lower()
    if ending not in FORMATS:
        *others, last = FORMATS
        raise OptionError(
            f"the format of {display_path(bytes(to))} is unknown",
            fix=f"give it a name that ends in {', '.join(others)} or {last}",
        )
    if not source.is_file():
        raise InputError(f"file not found: {display_path(bytes(source))}", fix="name a table that CancerNet wrote")
    if source.suffix.lower() in (".xlsx", ".xls", ".ods"):
        raise InputError(
            f"{display_path(bytes(source))} is a workbook, which is written but not read",
            fix="save the sheet as CSV, or name the Parquet table that it was made from",
        )
    if os.path.realpath(source) == os.path.realpath(to):
        raise OptionError(f"the table and the output are both {display_path(bytes(to))}", fix="choose another output")
    if to.exists() and not overwrite:
        raise OutputError(f"{display_path(bytes(to))} exists", fix="choose another name, or pass --overwrite")


def _unreadable(source: Path, error: Exception) -> InputError:
    kind = f"CSV ({', '.join(CSV_ENDINGS)})" if is_csv(source) else "Parquet"
    return InputError(
        f"{display_path(bytes(source))} cannot be read as {kind}: {' '.join(str(error).split())}",
        fix="name a table that CancerNet wrote",
    )
