"""`cancernet classify`."""

from __future__ import annotations

from typing import Annotated

import typer

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import FORMAT, Format, options_from
from cancernet_cli.core.errors import PartialFailure
from cancernet_cli.core.options import ClassifyOptions

Inputs = Annotated[
    list[str],
    typer.Argument(
        help="Folders (searched in depth), files, glob patterns, a CSV or Parquet manifest with a column path, "
        "or - for paths on stdin."
    ),
]


@options_from(ClassifyOptions)
def classify(inputs: Inputs, *, options: ClassifyOptions, format: Annotated[Format, FORMAT] = "human") -> None:
    """Classify every image and slide under INPUTS: one row a file in a Parquet table; metrics when labels are known.

    Give the same command again after an interruption and it goes on where it was. Exit code 7: finished, but some
    files failed; their rows say why.

    Examples:

        cancernet classify ./slides --out preds.parquet

        cancernet classify a.png 'more/**/*.tif' --overlays overlays

        find . -name '*.png' -print0 | cancernet classify - --out preds.parquet

        cancernet classify ./BreaKHis_v1 --labels breakhis --format json

        cancernet classify biopsy.svs --heatmaps heatmaps --geojson geojson
    """
    with progress.reporter(format) as report:
        from cancernet_cli.engine.classify import run as engine  # torch comes in here, not at --help

        if options.dry_run:
            outlook = engine.outlook(inputs, options, report)
        else:
            result = engine.classify(inputs, options, report)
    if options.dry_run:
        present_outlook(outlook, format)
        return
    from cancernet_cli.cli.render.result import present_result

    present_result(result, format)
    if result.unlisted_folders and not (result.failed or result.partial):
        raise PartialFailure(
            f"folders that cannot be listed: {result.unlisted_folders:,}; what they hold is not in {result.out}",
            fix="make them readable, and give the same command again with --overwrite",
        )
    if result.failed or result.partial:
        some = f"{result.failed:,} of {result.files:,} files failed"
        raise PartialFailure(
            f"{some}, and {result.partial:,} in part" if result.partial else some,
            fix=f"their rows in {result.out} have status = failed or partial and the reason in error; "
            "after mending them, a permission too, give the command with --overwrite",
        )


def present_outlook(outlook: dict[str, object], format: str) -> None:
    """What a dry run found."""
    if format == "json":
        output.record(outlook)
    elif format == "human":
        for name, value in outlook.items():
            output.line(f"{name.replace('_', ' '):<16} {value}")
