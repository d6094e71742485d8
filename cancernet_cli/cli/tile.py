"""`cancernet tile`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import FORMAT, Format, options_from
from cancernet_cli.core.errors import PartialFailure
from cancernet_cli.core.figures import counted
from cancernet_cli.core.options import TileOptions

Inputs = Annotated[
    list[str],
    typer.Argument(
        help="Slides, folders (searched recursively), glob patterns, or a CSV or Parquet manifest with a path column."
    ),
]


@options_from(TileOptions)
def tile(inputs: Inputs, *, options: TileOptions, format: Annotated[Format, FORMAT] = "human") -> None:
    """Preview the tiling of slides before classifying them.

    Writes tiles.parquet, slides.parquet and, for each slide, its tissue mask and a preview of tissue and tiles. Exit
    code 7: finished, but some slides failed; their rows give the reason.

    Examples:

        cancernet tile ./slides --out tiles

        cancernet tile a.svs --tile-mpp 0.5 --tile-size-px 224 --overlap 0.25

        cancernet tile a.svs --tissue none --images

        cancernet tile scan.tif --mpp 0.25 --kind slide
    """
    with progress.reporter(format) as report:
        from cancernet_cli.engine import tile as engine  # OpenCV is imported here, not at --help

        result = engine.tile(inputs, options, report)
    if format == "json":
        output.record(dataclasses.asdict(result))
    elif format == "human":
        from cancernet_cli.cli.render.tiles import tile_parts

        output.show(*tile_parts(result.rows))
        output.line(
            f"{'tiles':<12} {counted(result.tiles, 'tile')} from {counted(result.slides, 'slide')}: {result.tiles_file}"
        )
        output.line(f"{'slides':<12} {result.slides_file}")
        output.line(f"{'pictures':<12} {result.out}")
    if result.failed:
        raise PartialFailure(
            f"finished, but {result.failed:,} of {counted(result.slides, 'slide')} failed",
            fix=f"see the column error in {result.slides_file}",
        )
