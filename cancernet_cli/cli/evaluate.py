"""`cancernet evaluate`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import FORMAT, Format, options_from
from cancernet_cli.core.options import EvaluateOptions

Table = Annotated[
    Path,
    typer.Argument(help="Predictions table written by `cancernet classify` or `cancernet finetune`: Parquet or CSV."),
]


@options_from(EvaluateOptions)
def evaluate(table: Table, *, options: EvaluateOptions, format: Annotated[Format, FORMAT] = "human") -> None:
    """Evaluate a predictions table by image, magnification, slide and patient, with confidence intervals.

    Writes report.html, report.md, metrics.json and plots into a folder next to the table. With --against, states which
    of two tables is better, or that the difference may be due to chance.

    Examples:

        cancernet evaluate preds.parquet

        cancernet evaluate preds.parquet --labels labels.csv --threshold 0.4

        cancernet evaluate new.parquet --against old.parquet --out new_against_old

        cancernet evaluate preds.parquet --format json --no-plots
    """
    with progress.reporter(format) as report:
        from cancernet_cli.engine.evaluate.run import evaluate as measure  # imports scikit-learn: not at --help

        result = measure(table, options, report)
    if format == "json":
        record = dataclasses.asdict(result)
        output.record({"table": record.pop("table_file"), **record})
    elif format == "human":
        from cancernet_cli.cli.render.evaluation import evaluation_parts

        output.show(*evaluation_parts(result.metrics))
        output.show("")
        for name, path in (
            ("page", result.page_file),
            ("report", result.report_file),
            ("metrics", result.metrics_file),
        ):
            output.line(f"{name:<12} {path}")
        if result.plots:
            output.line(f"{'plots':<12} {next(iter(result.plots.values())).parent}")
        for name, why in result.skipped.items():
            output.line(f"no plot {name}: {why}")
        output.line("Research use only: not for diagnosis.")
