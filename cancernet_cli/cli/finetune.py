"""`cancernet finetune`."""

from __future__ import annotations

import dataclasses
import os
from typing import Annotated

import typer

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import FORMAT, Format, options_from
from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.data.discovery.inputs import parse_inputs

Data = Annotated[
    list[str] | None,
    typer.Argument(
        help="Class folders, an unpacked BreakHis or IDC archive, or a CSV or Parquet manifest with "
        "path,label[,patient]; images, slides, or both."
    ),
]

NO_DATA = (
    "error: DATA is missing: what should it learn from?",
    "  fix: pass one of these",
    "    cancernet {verb} ./images        # a folder per class: images/benign/*.png, images/malignant/*.png",
    "    cancernet {verb} ./BreaKHis_v1   # BreakHis or IDC as unpacked: patients are read from the names",
    "    cancernet {verb} labels.csv      # columns path,label and, better, patient",
    "  No data yet? BreakHis (7,909 images of 82 patients) is free for research:",
    "    https://web.inf.ufpr.br/vri/databases/breast-cancer-histopathological-database-breakhis/",
)


def checked_data(data: list[str] | None, verb: str) -> list[str]:
    """The data to learn from, before torch is loaded; without any, say what they may be and exit.

    Raises:
        InputError: one does not exist.
    """
    if not data:
        for text in NO_DATA:
            output.talk(text.format(verb=verb))
        raise typer.Exit(OptionError.exit_code)
    parse_inputs(data)
    return data


@options_from(FinetuneOptions)
def finetune(data: Data = None, *, options: FinetuneOptions, format: Annotated[Format, FORMAT] = "human") -> None:
    """Train a classifier on labeled images and slides, or a U-Net on images with masks, split by patient.

    The model folder gets a card with the data, the splits and the metrics on held-out patients.

    Examples:

        cancernet finetune ./BreaKHis_v1 --out models/mine

        cancernet finetune ./BreaKHis_v1 --recipe paper --magnification 100 --out models/paper

        cancernet finetune slides.csv --tiles-per-slide 400 --tile-mpp 0.5 --out models/slides

        cancernet finetune nuclei/manifest.csv --task segment --out models/nuclei
    """
    data = checked_data(data, "finetune")
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
