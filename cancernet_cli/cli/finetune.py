"""`cancernet finetune`."""

from __future__ import annotations

import dataclasses
import os
from typing import Annotated

import typer

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import FORMAT, Format, options_from
from cancernet_cli.core.options import FinetuneOptions

Data = Annotated[
    list[str],
    typer.Argument(
        help="Class folders, BreakHis as it is unpacked, or a CSV or Parquet manifest with path,label[,patient]; of "
        "images, of slides, or of both."
    ),
]


@options_from(FinetuneOptions)
def finetune(data: Data, *, options: FinetuneOptions, format: Annotated[Format, FORMAT] = "human") -> None:
    """Train a classifier on labelled images and slides, or a U-Net on images with masks, split by patient.

    The model's folder gets a card with its data, its splits and its figures on patients it was not trained on.

    Examples:

        cancernet finetune ./BreaKHis_v1 --out models/mine

        cancernet finetune ./BreaKHis_v1 --recipe paper --magnification 100 --out models/paper

        cancernet finetune slides.csv --tiles-per-slide 400 --tile-mpp 0.5 --out models/slides

        cancernet finetune nuclei/manifest.csv --task segment --out models/nuclei
    """
    if os.environ.get("RANK", "0") != "0":  # started by torchrun: the first process speaks for all
        format = "quiet"
    with progress.reporter(format) as report:
        from cancernet_cli.engine.finetune.run import finetune as train  # torch comes in here, not at --help

        result = train(data, options, report)
    if format == "json":
        output.record(dataclasses.asdict(result))
    elif format == "human":
        from cancernet_cli.cli.render.card import card_parts
        from cancernet_cli.core.cards import read_card

        for part in card_parts(read_card(options.out), options.out):
            output.show(part)
        output.talk(f"The model is in {options.out}.")
        if options.task == "classify":
            output.talk(f"Its predictions on unseen patients, with plots: {options.out / 'evaluation' / 'report.md'}")
