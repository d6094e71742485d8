"""`cancernet report`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import FORMAT, Format, options_from
from cancernet_cli.core.figures import counted
from cancernet_cli.core.options import ReportOptions

Table = Annotated[
    Path, typer.Argument(help="Predictions table written by `cancernet classify` or `cancernet finetune`.")
]


@options_from(ReportOptions)
def report(table: Table, *, options: ReportOptions, format: Annotated[Format, FORMAT] = "human") -> None:
    """Turn a predictions table into one HTML page with counts, pictures and, where labels are known, metrics.

    The page is a single file that opens in any browser without a network. Of a large table it shows a sample, and says
    which.

    Examples:

        cancernet report preds.parquet

        cancernet report preds.parquet --images /data/slides --out report.html

        cancernet report preds.parquet --pictures 100 --max-mb 10
    """
    with progress.reporter(format) as reporter:
        from cancernet_cli.engine.report.run import report as write  # imports OpenCV and scikit-learn: not at --help

        result = write(table, options, reporter)
    if format == "json":
        output.record(dataclasses.asdict(result))
    elif format == "human":
        shown = f"{result.shown:,} of {counted(result.rows, 'row')}, {counted(result.pictures, 'picture')}"
        output.line(f"{'report':<12} {result.out} ({result.size_bytes / 1e6:.1f} MB: {shown})")
        if result.missing:
            output.line(f"{counted(result.missing, 'picture')} missing: the file was not found or could not be read")
        output.line("Research use only: not for diagnosis.")
