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
        help="Class folders, an unpacked BreakHis or IDC archive, or a CSV or Parquet manifest with "
        "path,label[,patient]; images, slides, or both."
    ),
]


@options_from(FinetuneOptions)
def finetune(data: Data, *, options: FinetuneOptions, format: Annotated[Format, FORMAT] = "human") -> None:
    """Train a classifier on labeled images and slides, or a U-Net on images with masks, split by patient.

    The model folder gets a card with the data, the splits and the metrics on held-out patients.

    Examples:

        cancernet finetune ./BreaKHis_v1 --out models/mine

        cancernet finetune ./BreaKHis_v1 --recipe paper --magnification 100 --out models/paper

        cancernet finetune slides.csv --tiles-per-slide 400 --tile-mpp 0.5 --out models/slides

        cancernet finetune nuclei/manifest.csv --task segment --out models/nuclei
    """
    if os.environ.get("RANK", "0") != "0":  # started by torchrun: only the first process prints
        format = "quiet"
    with progress.reporter(format) as report:
        from cancernet_cli.engine.finetune.run import finetune as train  # torch is imported here, not at --help

        result = train(data, options, report)
    if format == "json":
        output.record(dataclasses.asdict(result))
    elif format == "human":
        from cancernet_cli.cli.render.card import card_parts
        from cancernet_cli.core.cards import read_card

        card = read_card(options.out)
        output.show(*card_parts(card, options.out))
        output.talk(f"Model written to {options.out}.")
        unit = "images" if card.training.stamp else "patients"
        output.talk(f"Evaluation on held-out {unit}: {options.out / 'evaluation' / 'report.md'}")
        if problems := [*card.training.doubts, *filter(None, [card.training.stamp])]:
            output.talk(f"warning: {'; '.join(problems)}")
