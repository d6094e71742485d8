"""A few of the files, read and decoded: what each stage is given when it is measured by itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from cancernet_cli.core.cards import Card
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Reporter, Warn, silent
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.discovery.discover import discover
from cancernet_cli.data.discovery.inputs import resolve_base
from cancernet_cli.data.loading.images import BatchDecoder, DecodedBatch

MOST = 16


@dataclass(frozen=True)
class Sample:
    """Good files and one batch of them, decoded.

    `views_per_image` is their mean. `pixels` holds as many of their views, over and over, as a batch takes.
    """

    files: list[FoundFile]
    batch: DecodedBatch
    pixels: torch.Tensor
    views_per_image: float


def found_files(inputs: Path, card: Card, report: Reporter = silent) -> list[FoundFile]:
    """Every image that `inputs` holds, in path order.

    Raises:
        InputError: there is none.
    """
    names = [os.fspath(inputs)]
    files = discover(
        names,
        base=resolve_base(names),
        labels="none",
        classes=card.architecture.classes,
        on_problem=lambda message: report(Warn(message)),
    )
    found = sorted(files, key=lambda file: file.path)
    if not found:
        raise InputError(f"no image was found under {inputs}", fix="name a folder of images, or leave --input away")
    return found


def take_sample(files: Sequence[FoundFile], card: Card, *, batch_size: int, max_pixels: int) -> Sample:
    """Some of the files at even distances, decoded.

    Raises:
        InputError: not one of them can be read.
    """
    some = list(files)[:: max(1, len(files) // MOST)][:MOST]
    decoder = BatchDecoder(card.input, max_pixels)
    decoded = decoder[some]
    good = [file for file, image in zip(some, decoded.images, strict=True) if not isinstance(image, Failure)]
    if not good:
        why = next(image for image in decoded.images if isinstance(image, Failure))
        raise InputError(f"not one image could be read ({why})", fix="name a folder of readable images with --input")
    batch = decoder[good]
    times = -(-batch_size // len(batch.pixels))
    pixels = batch.pixels.repeat(times, 1, 1, 1)[:batch_size].contiguous()
    return Sample(good, batch, pixels, len(batch.pixels) / len(good))
