"""`cancernet classify`."""

from __future__ import annotations

from typing import Annotated

import typer

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import FORMAT, Format, options_from
from cancernet_cli.core.errors import PartialFailure
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.core.options.sinks import with_sinks

Inputs = Annotated[
    list[str],
    typer.Argument(
        help="Folders (searched recursively), files, glob patterns, a CSV or Parquet manifest with a path column, "
        "or - to read paths from stdin."
    ),
]


@options_from(with_sinks(ClassifyOptions))
def classify(inputs: Inputs, *, options: ClassifyOptions, format: Annotated[Format, FORMAT] = "human") -> None:
    """Classify every image and slide under INPUTS: one row per file of a Parquet table; metrics if labels are known.

    Re-run the same command to resume an interrupted run. Exit code 7: finished, but some files failed; their rows give
    the reason.

    Examples:

        cancernet classify ./slides --out preds.parquet

        cancernet classify a.png 'more/**/*.tif' --overlays overlays

        find . -name '*.png' -print0 | cancernet classify - --out preds.parquet

        cancernet classify ./BreaKHis_v1 --labels breakhis --format json

        cancernet classify biopsy.svs --heatmaps heatmaps --geojson geojson
    """
    with progress.reporter(format) as report:
        from cancernet_cli.engine.classify import run as engine  # torch is imported here, not at --help

        if options.dry_run:
            planned = engine.dry_run(inputs, options, report)
        else:
            result = engine.classify(inputs, options, report)
    if options.dry_run:
        if format == "json":
            output.record(planned)
        elif format == "human":
            for name, value in planned.items():
                output.line(f"{name.replace('_', ' '):<16} {value}")
        return
    from cancernet_cli.cli.render.result import present_result

    present_result(result, format)
    if result.unlisted_folders and not (result.failed or result.partial):
        raise PartialFailure(
            f"folders that cannot be listed: {result.unlisted_folders:,}; their files are missing from {result.out}",
            fix="make them readable and run the same command again with --overwrite",
        )
    if result.failed or result.partial:
        failed = f"{result.failed:,} of {result.files:,} files failed"
        raise PartialFailure(
            f"{failed}, and {result.partial:,} failed partially" if result.partial else failed,
            fix=f"their rows in {result.out} have status = failed or partial and the reason in error; "
            "after fixing them (permissions included), run the same command again with --overwrite",
        )
