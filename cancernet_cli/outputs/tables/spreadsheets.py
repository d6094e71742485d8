"""A finished Parquet table written again as CSV or for Excel, a few thousand rows at a time."""

from __future__ import annotations

import datetime
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, silent
from cancernet_cli.outputs.tables.cells import harmless, harmless_name, plain_batch, plain_schema
from cancernet_cli.outputs.tables.predictions import ROW_GROUP_ROWS

MOST_EXCEL_ROWS = 1_048_575  # Excel has 1,048,576 rows, of which the heading takes one
_MOST_EXCEL_COLUMNS = 16_384
_MOST_CELL_TEXT = 32_767
_WIDTHS = (8, 60)  # of a column, in characters
_CREATED = datetime.datetime(2000, 1, 1)  # not the time of writing: the same table gives the same bytes

Rows = Iterator[pa.RecordBatch]


def check_size(rows: int, path: Path, columns: int = 0) -> None:
    """Refuse a table that does not fit into the format that the name of a file asks for.

    Raises:
        OutputError: it has more rows or columns than Excel can hold.
    """
    if path.suffix.lower() != ".xlsx":
        return
    for count, most, what in ((rows, MOST_EXCEL_ROWS, "rows"), (columns, _MOST_EXCEL_COLUMNS, "columns")):
        if count > most:
            raise OutputError(
                f"{path} would have {count:,} {what}; Excel holds {most:,}",
                fix=f"write {path.with_suffix('.csv').name} or {path.with_suffix('.parquet').name} instead",
            )


def write_rows(batches: Rows, schema: pa.Schema, rows: int, to: Path, ending: str) -> None:
    """Write rows to `to`, in the format of an ending in `FORMATS`.

    Raises:
        OSError: it cannot be written.
        TypeError: a column has several values per row, and the format is not Parquet.
    """
    FORMATS[ending](batches, schema, rows, to)


def write_again(table: Path, to: Path, ending: str, report: Reporter = silent, *, name: str = "") -> int:
    """Write a Parquet table again in the format of an ending in `FORMATS`, and return its number of rows.

    Args:
        name: shown while it is written; default: the name of `to`.

    Raises: as `write_rows` and `check_size`; ArrowException if the table cannot be read.
    """
    with pq.ParquetFile(table) as file:
        rows, schema = file.metadata.num_rows, file.schema_arrow
        check_size(rows, to.with_suffix(ending), len(schema))
        batches = file.iter_batches(ROW_GROUP_ROWS)
        write_rows(shown(batches, rows, name or to.name, report), schema, rows, to, ending)
    return int(rows)


def shown(batches: Rows, rows: int | None, name: str, report: Reporter) -> Rows:
    """The batches, reported as they are written."""
    stage = f"write {name}"
    report(StageStarted(stage, rows, "rows"))
    for batch in batches:
        yield batch
        report(StageAdvanced(stage, len(batch)))
    report(StageFinished(stage))


def _write_parquet(batches: Rows, schema: pa.Schema, rows: int, to: Path) -> None:
    with pq.ParquetWriter(to, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch, row_group_size=ROW_GROUP_ROWS)


def _write_csv(batches: Rows, schema: pa.Schema, rows: int, to: Path) -> None:
    """UTF-8, lines that end with a line feed, text in quotation marks; null is empty without them."""
    plain = plain_schema(schema)
    headed = pa.schema([field.with_name(harmless_name(field.name)) for field in plain])
    with pyarrow.csv.CSVWriter(to, headed) as writer:
        for batch in batches:
            columns = [_harmless(column) for column in plain_batch(batch, plain).columns]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=headed))


def _write_excel(batches: Rows, schema: pa.Schema, rows: int, to: Path) -> None:
    """A workbook with one sheet: bold, frozen headings with filters, columns as wide as their first rows need."""
    from xlsxwriter import Workbook  # only needed here
    from xlsxwriter.exceptions import XlsxFileError

    plain = plain_schema(schema)
    with tempfile.TemporaryDirectory(prefix=".cancernet-", dir=to.parent) as scratch:  # /tmp may be too small
        book = Workbook(str(to), {"constant_memory": True, "tmpdir": scratch})
        try:
            book.set_properties({"created": _CREATED})
            _fill(book, batches, plain, rows)
        finally:  # also after an error: a workbook that was never closed complains when it is deleted
            try:
                book.close()
            except XlsxFileError as error:
                raise OSError(" ".join(str(error).split())) from error


def _fill(book: Any, batches: Rows, plain: pa.Schema, rows: int) -> None:
    sheet = book.add_worksheet("table")
    head, probability = book.add_format({"bold": True}), book.add_format({"num_format": "0.000"})
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, rows, max(0, len(plain) - 1))
    formats = [probability if field.name.startswith("prob_") else None for field in plain]
    first = next(batches, None)
    for place, field in enumerate(plain):
        sheet.set_column(place, place, _width(field, first), formats[place])
        sheet.write_string(0, place, harmless_name(field.name), head)
    writers = [_cell_writer(sheet, field.type, style) for field, style in zip(plain, formats, strict=True)]
    row = 0
    while first is not None:
        columns = [_values(column) for column in plain_batch(first, plain).columns]
        for cells in zip(*columns, strict=True):
            row += 1
            for place, (write, value) in enumerate(zip(writers, cells, strict=True)):
                if value is not None and value != "":
                    write(row, place, value)
        first = next(batches, None)


def _cell_writer(sheet: Any, kind: pa.DataType, style: Any) -> Callable[[int, int, Any], None]:
    if pa.types.is_boolean(kind):
        return lambda row, place, value: sheet.write_boolean(row, place, value)
    if pa.types.is_string(kind):
        return lambda row, place, value: sheet.write_string(row, place, value[:_MOST_CELL_TEXT])

    def number(row: int, place: int, value: float) -> None:
        if math.isfinite(value):
            sheet.write_number(row, place, value, style)
        else:  # which Excel has no numbers for
            sheet.write_string(row, place, str(value))

    return number


def _values(column: pa.Array) -> Sequence[Any]:
    """The values of a plain column; a float32 as the shortest decimal number that stands for it, as in CSV."""
    if pa.types.is_floating(column.type) and column.type != pa.float64():
        return [None if text is None else float(text) for text in column.cast(pa.string()).to_pylist()]
    values: list[Any] = _harmless(column).to_pylist()
    return values


def _width(field: pa.Field, first: pa.RecordBatch | None) -> int:
    """Width of a column in characters: of its heading and its filter's arrow, and of the text in the first rows."""
    longest = len(field.name) + 3
    if first is not None and pa.types.is_string(field.type):
        texts = first[field.name].slice(0, 200).to_pylist()
        longest = max([longest, *(len(str(text)) + 1 for text in texts if text is not None)])
    return min(max(longest, _WIDTHS[0]), _WIDTHS[1])


def _harmless(column: pa.Array) -> pa.Array:
    return harmless(column) if pa.types.is_string(column.type) else column


FORMATS: dict[str, Callable[[Rows, pa.Schema, int, Path], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".xlsx": _write_excel,
}
SPREADSHEETS = (".csv", ".xlsx")
