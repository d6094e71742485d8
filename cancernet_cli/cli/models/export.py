"""`cancernet models export`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import Format
from cancernet_cli.core.registry import EXPORT_FORMATS, entry_names

ImageSize = Annotated[
    str,
    typer.Option(
        help="Size of the images that go in, such as 700x460: scaling and cutting into views become part of the "
        "file. Default: one tile or view, as the card specifies; for a U-Net, its training crop."
    ),
]
Images = Annotated[
    list[str] | None,
    typer.Option(
        help="Images to compare the file with the engine on: a file, folder or pattern; repeatable. At most 32 are "
        "used. Default: drawn images."
    ),
]


def export_model(
    name: Annotated[str, typer.Argument(help="A bundled model's name, or a model's folder.")],
    *,
    format: Annotated[str, typer.Option(help=f"File format: {', '.join(entry_names(EXPORT_FORMATS))}.")] = "onnx",
    out: Annotated[Path, typer.Option("--out", "-o", help="Output folder.")] = Path("exported"),
    image_size: ImageSize = "",
    segmenter: Annotated[
        str | None, typer.Option(help="Segmenter instead of the card's default; the card must allow it.")
    ] = None,
    check: Images = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    show: Annotated[
        Format,
        typer.Option(help="human: text and progress. json: one JSON object on stdout. quiet: errors only."),
    ] = "human",
) -> None:
    """Export a model for another program: one file from pixels to calibrated probabilities, with its card.

    Stain normalization, segmentation, network and calibration are in the file. It is run by the library that it is
    for, and kept only if its probabilities are those of CancerNet to within 0.0001. A README next to it has programs to
    copy.

    Examples:

        cancernet models export breakhis_lite0 --format onnx --out exported --check ./slides

        cancernet models export breakhis_lite0 --format openvino --image-size 700x460 --out exported

        cancernet models export idc_tiles --format torchscript --out exported
    """
    with progress.reporter(show) as report:
        from cancernet_cli.engine.export.run import export

        found = export(
            name,
            format=format,
            out=out,
            image_size=image_size,
            segmenter=segmenter,
            check=check or (),
            overwrite=overwrite,
            report=report,
        )
    if show == "json":
        output.record(asdict(found))
    elif show == "human":
        size = f"{found.width_px} x {found.height_px} pixels"
        output.line(f"{found.out}: {found.model} as {found.format}, {found.size_bytes / 1e6:.1f} MB, input {size}")
        output.line(f"files: {', '.join(found.files)}")
        for which, difference in found.differences.items():
            output.line(f"largest difference in {which}: {difference:.1e} on {found.checked_images} {found.checked_on}")
