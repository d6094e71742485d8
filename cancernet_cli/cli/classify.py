"""`cancernet classify`."""

from __future__ import annotations

from typing import Annotated

import typer

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import FORMAT, Format, options_from
from cancernet_cli.core.errors import PartialFailure
from cancernet_cli.core.figures import counted
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.core.options.sinks import with_sinks
from cancernet_cli.data.discovery.inputs import parse_inputs

Inputs = Annotated[
    list[str],
    typer.Argument(
        help="Folders (searched recursively), files, glob patterns, a CSV or Parquet manifest with a path column, "
        "or - to read paths from stdin."
    ),
]


@options_from(with_sinks(ClassifyOptions))
def classify(inputs: Inputs, *, options: ClassifyOptions, format: Annotated[Format, FORMAT] = "human") -> None:
    """Classify all images and slides in INPUTS and write a Parquet table with one row per file.

    If labels are known, metrics are reported too. To resume after an interruption, run the same command again. Exit
    code 7: finished, but some files failed; the table has the reasons.

    Examples:

        cancernet classify ./slides --out preds.parquet

        cancernet classify a.png 'more/**/*.tif' --overlays overlays

        find . -name '*.png' -print0 | cancernet classify - --out preds.parquet

        cancernet classify ./BreaKHis_v1 --labels breakhis --format json

        cancernet classify biopsy.svs --heatmaps heatmaps --geojson geojson
    """
    parse_inputs(inputs)  # a mistyped path is refused before torch is loaded
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
                label = "finished before" if name == "is_finished" else name.replace("_", " ")
                output.line(f"{label:<16} {_dry_run_text(value)}")
        return
    from cancernet_cli.cli.render.result import present_result

    present_result(result, format)
    if result.unlisted_folders and not (result.failed or result.partial):
        raise PartialFailure(
            f"finished, but {counted(result.unlisted_folders, 'folder')} could not be listed and may have more files",
            fix="make them readable and run the same command again with --overwrite",
        )
    if result.failed or result.partial:
        failed = f"finished, but {result.failed:,} of {counted(result.files, 'file')} failed"
        raise PartialFailure(
            f"{failed}, {result.partial:,} partially" if result.partial else failed,
            fix=f"see the column error in {result.out}; repair the files or their permissions and run the same command "
            "again with --overwrite",
        )


def _dry_run_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{count:,} {ending}" for ending, count in value.items())
    return str(value)
