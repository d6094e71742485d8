"""`cancernet convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import FORMAT, Format, options_from
from cancernet_cli.core.figures import counted
from cancernet_cli.core.options.convert import ConvertOptions

Table = Annotated[Path, typer.Argument(help="Table that CancerNet wrote: Parquet or CSV.")]
Out = Annotated[Path, typer.Argument(help="File to write; its ending decides: .parquet, .csv or .xlsx.")]


@options_from(ConvertOptions)
def convert(table: Table, out: Out, *, options: ConvertOptions, format: Annotated[Format, FORMAT] = "human") -> None:
    """Convert a table to CSV, Excel or Parquet.

    Works with every table that CancerNet writes: predictions, patients, tiles. Text that a spreadsheet would evaluate
    as a formula gets an apostrophe in front. Excel holds 1,048,575 rows; CSV and Parquet any number.

    Examples:

        cancernet convert preds.parquet preds.csv

        cancernet convert preds.patients.parquet patients.xlsx --overwrite
    """
    with progress.reporter(format) as report:
        from cancernet_cli.engine.convert import convert as run  # pyarrow is imported here, not at --help

        result = run(table, out, options, report)
    if format == "json":
        output.record({"table": result.table_file, "out": result.out, "rows": result.rows, "columns": result.columns})
    elif format == "human":
        output.line(f"{counted(result.rows, 'row')} of {counted(result.columns, 'column')}: {result.out}")
