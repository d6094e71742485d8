"""`cancernet models quantise`."""

from __future__ import annotations

from typing import Annotated

import typer

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import FORMAT, Format


def quantise_model(
    name: Annotated[str, typer.Argument(help="A bundled model's name, or a model's folder.")],
    inputs: Annotated[list[str], typer.Argument(help="Representative images for calibration; a few hundred suffice.")],
    *,
    segmenter: Annotated[
        str | None, typer.Option(help="Segmenter instead of the card's default; the card must allow it.")
    ] = None,
    format: Annotated[Format, FORMAT] = "human",
) -> None:
    """Quantise a model to int8, calibrated on representative images, and store the network in the model's folder.

    Otherwise `classify --precision int8` calibrates on its own images on first use and caches the network. Requires
    NNCF (the "int8" extra of the package).

    Examples:

        cancernet models quantise models/mine ./slides
    """
    with progress.reporter(format) as report:
        from cancernet_cli.engine.quantize import quantise

        path = quantise(name, inputs, segmenter=segmenter, report=report)
    if format == "json":
        output.record({"int8": path, "size_bytes": path.with_suffix(".bin").stat().st_size})
    elif format == "human":
        output.line(f"{path} ({path.with_suffix('.bin').stat().st_size / 1e6:.1f} MB)")
