"""`cancernet segment`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import FORMAT, Format, options_from
from cancernet_cli.core.errors import PartialFailure
from cancernet_cli.core.figures import counted
from cancernet_cli.core.options import SegmentOptions

Inputs = Annotated[
    list[str],
    typer.Argument(
        help="Folders (searched recursively), files, glob patterns, a CSV or Parquet manifest with a path column (or "
        "image and mask), or - to read paths from stdin."
    ),
]


@options_from(SegmentOptions)
def segment(inputs: Inputs, *, options: SegmentOptions, format: Annotated[Format, FORMAT] = "human") -> None:
    """Find the nuclei in images and slides: masks, label images, GeoJSON for QuPath, and a table of all nuclei.

    Writes images.parquet (one row per file), nuclei.parquet (one row per nucleus) and a folder per kind of file. With
    true masks, the overlap with them is measured. To resume after an interruption, run the same command again. Exit
    code 7: finished, but some files failed; the table has the reasons.

    Examples:

        cancernet segment ./slides --out nuclei

        cancernet segment biopsy.svs --regions hotspots.csv --out nuclei

        cancernet segment photo.tif --mpp 0.25 --model models/my_unet --soft-masks

        cancernet segment images --masks true_masks --segmenter threshold
    """
    with progress.reporter(format) as report:
        from cancernet_cli.engine.segment import run as engine  # torch is imported here, not at --help

        result = engine.segment(inputs, options, report)
    if format == "json":
        output.record(dataclasses.asdict(result))
    elif format == "human":
        from cancernet_cli.cli.render.nuclei import nuclei_parts

        output.show(*nuclei_parts(result))
    if result.failed or result.partial or result.unlisted_folders:
        failed = f"finished, but {result.failed:,} of {counted(result.files, 'file')} failed"
        failed += f", {result.partial:,} partially" if result.partial else ""
        if result.unlisted_folders:
            failed += f", and {counted(result.unlisted_folders, 'folder')} could not be listed"
        raise PartialFailure(
            failed,
            fix=f"see the column error in {result.images_file}; repair the files or their permissions and run the same "
            "command again with --overwrite",
        )
