"""Present the result of a classify run."""

from __future__ import annotations

import dataclasses

import pyarrow.parquet as pq
from rich.markup import escape

from cancernet_cli.cli import output
from cancernet_cli.cli.render.metrics import render_metrics
from cancernet_cli.cli.render.predictions import render_predictions
from cancernet_cli.core.figures import counted
from cancernet_cli.core.records import RunResult
from cancernet_cli.core.text import one_line
from cancernet_cli.outputs.sink import sinks

ROWS_SHOWN = 12


def present_result(result: RunResult, format: str) -> None:
    """Print the result in the chosen format: JSON, tables, or nothing."""
    if format == "json":
        record = dataclasses.asdict(result)
        folders = record.pop("outputs")
        output.record(record | {name: folders.get(name) for name in sinks.names()})
    elif format == "human":
        _present_tables(result)


def _present_tables(result: RunResult) -> None:
    first = next(pq.ParquetFile(result.out).iter_batches(batch_size=ROWS_SHOWN), None)
    output.show(render_predictions(first.to_pylist() if first is not None else []))
    if result.files > ROWS_SHOWN:
        output.show(f"... and {result.files - ROWS_SHOWN:,} more")
    for path, error in result.failures:
        is_partial = error.startswith("tiles: ")
        word = "[yellow]partial[/yellow]" if is_partial else "[red]failed[/red]"
        output.show(f"{word} {_safe(path)}: {_safe(error)}")
    bad = result.failed + result.partial
    if bad > len(result.failures):
        output.show(f"... and {bad - len(result.failures):,} more failed")
    if result.metrics is not None:
        output.show(render_metrics(result.metrics))
    output.show("")
    output.show(_closing_lines(result))


def _noun(result: RunResult) -> str:
    """What the files are."""
    return "image" if not result.slides else "slide" if result.slides == result.files else "file"


def _closing_lines(result: RunResult) -> str:
    counts = ", ".join(f"{count:,} {_safe(label)}" for label, count in result.label_counts.items())
    rate = (result.files - result.reused) / result.elapsed_s if result.elapsed_s else 0.0
    lines = [
        f"{counted(result.files, 'file')} with {_safe(result.model)}: {counts}, {result.failed:,} failed"
        f" ({result.elapsed_s:.1f} s, {rate:.1f} files/s)"
    ]
    if result.unsure:
        lines.append(
            f"{result.unsure:,} of {counted(result.ok, _noun(result))} unsure (--abstain off gives each the class by "
            "the threshold)"
        )
    if result.reused:
        lines.append(f"{result.reused:,} of them reused from an earlier run")
    if result.partial:
        lines.append(f"{result.partial:,} of {result.slides:,} slides were predicted without their failed tiles")
    if result.flag_counts:
        lines.append("flagged: " + ", ".join(f"{count:,} {flag}" for flag, count in result.flag_counts.items()))
    paths = [
        ("spreadsheet", result.spreadsheet),
        ("predictions", result.out),
        ("patients", result.patients_file),
        ("tiles", result.tiles_file),
        ("run record", result.run_file),
        ("metrics", result.metrics_file),
        ("report", result.report_file),
        *((sinks[name].facts["title"], folder) for name, folder in sorted(result.outputs.items())),
    ]
    lines += [f"{title:<12} {_safe(str(path))}" for title, path in paths if path is not None]
    return "\n".join([*lines, "Research use only: not for diagnosis."])


def _safe(text: str) -> str:
    """Text on one line that is not read as markup."""
    return escape(one_line(text))
