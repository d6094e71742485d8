"""`cancernet models fetch`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import FORMAT, Format


def fetch_weights(
    name: Annotated[
        str,
        typer.Argument(
            help="A backbone of this package (vgg16), a timm model (convnext_tiny.fb_in1k) or a model on the Hugging "
            "Face Hub (hf-hub:owner/name)."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the weights.")] = Path("weights"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace weights fetched before.")] = False,
    format: Annotated[Format, FORMAT] = "human",
) -> None:
    """Download pretrained weights as one file for `finetune --weights`, with their source, license and checksum.

    Without network access, the error states which file to download elsewhere and where to put it; run the same command
    again and it is read from there. Checkpoints are read without executing code from them.

    Examples:

        cancernet models fetch vgg16

        cancernet models fetch hf-hub:timm/resnet18.a1_in1k --out weights

        cancernet models fetch convnext_tiny.fb_in1k --format json
    """
    with progress.reporter(format) as report:
        from cancernet_cli.engine.fetch import fetch

        found = fetch(name, out=out, overwrite=overwrite, report=report)
    if format == "json":
        output.record(asdict(found))
    elif format == "human":
        output.line(f"{found.path} ({found.size_bytes / 1e6:.1f} MB, SHA-256 {found.sha256[:12]}...)")
        output.line(f"source: {found.source}; license: {found.licence}")
        output.line(f"use: cancernet finetune DATA --backbone {found.backbone} --weights {found.path}")
