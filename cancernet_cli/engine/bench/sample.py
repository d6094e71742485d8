"""A sample of the files, decoded: the input of each stage, which is measured separately."""

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

SAMPLE_FILES = 16


@dataclass(frozen=True)
class Sample:
    """Readable files and one decoded batch of them.

    pixels: a full batch of their views, repeated as needed, `[V, H, W, 3]` uint8. views_per_image: the mean.
    """

    files: list[FoundFile]
    batch: DecodedBatch
    pixels: torch.Tensor
    views_per_image: float


def path_of(file: FoundFile) -> Path:
    """The path of a file; names that are not valid UTF-8 survive."""
    return Path(os.fsdecode(file.location))


def find_images(inputs: Path, card: Card, report: Reporter = silent) -> list[FoundFile]:
    """Every image under `inputs`, in path order.

    Raises:
        InputError: there are none.
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
        raise InputError(f"no images found under {inputs}", fix="pass a folder of images, or omit --input")
    return found


def take_sample(files: Sequence[FoundFile], card: Card, *, batch_size: int, max_pixels: int) -> Sample:
    """Decode evenly spaced files.

    Raises:
        InputError: none of them is readable.
    """
    some = list(files)[:: max(1, len(files) // SAMPLE_FILES)][:SAMPLE_FILES]
    decoder = BatchDecoder(card.input, max_pixels)
    decoded = decoder[some]
    good = [file for file, image in zip(some, decoded.images, strict=True) if not isinstance(image, Failure)]
    if not good:
        why = next(image for image in decoded.images if isinstance(image, Failure))
        raise InputError(f"no readable image ({why})", fix="pass a folder of readable images with --input")
    batch = decoder[good]
    times = -(-batch_size // len(batch.pixels))
    pixels = batch.pixels.repeat(times, 1, 1, 1)[:batch_size].contiguous()
    return Sample(good, batch, pixels, len(batch.pixels) / len(good))
