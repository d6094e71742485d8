"""Overlays and masks of a batch: what else is written beside the table."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cancernet_cli.core.cards import Card
from cancernet_cli.core.paths import real_path
from cancernet_cli.core.records import Failure
from cancernet_cli.data.loading.images import DecodedBatch, DecodedImage
from cancernet_cli.data.loading.views import stitch
from cancernet_cli.engine.classify.predictions import Verdict
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.outputs.pictures.files import write_jpeg, write_png
from cancernet_cli.outputs.pictures.overlay import draw_overlay
from cancernet_cli.outputs.side_files import side_path


def side_files(
    batch: DecodedBatch,
    verdicts: list[Verdict | Failure],
    answer: Outputs,
    card: Card,
    *,
    overlays: Path | None,
    masks: Path | None,
) -> list[Callable[[], None]]:
    """The writes that the batch's good images ask for; each draws and writes one file when called."""
    writes: list[Callable[[], None]] = []
    originals = iter(batch.originals)
    for file, image, verdict in zip(batch.files, batch.images, verdicts, strict=True):
        if not isinstance(image, DecodedImage):
            continue
        original = next(originals).numpy()
        if isinstance(verdict, Failure) or answer.mask is None:
            continue
        mask = functools.cache(functools.partial(_whole_mask, answer.mask[verdict.views], image, card))
        name = real_path(file.path)
        if masks is not None:
            writes.append(functools.partial(_write_mask, mask, side_path(masks, name, ".png")))
        if overlays is not None:
            percent = 100.0 * float(verdict.probs[card.architecture.classes.index(verdict.label)])
            draw = functools.partial(
                draw_overlay, original, label=verdict.label, percent=percent, true_label=file.truth.label
            )
            has_mask = card.segmentation.segmenter != "none"
            writes.append(
                functools.partial(
                    _write_overlay, draw, mask if has_mask else _no_mask, side_path(overlays, name, ".jpg")
                )
            )
    return writes


def _whole_mask(views: np.ndarray, image: DecodedImage, card: Card) -> np.ndarray:
    return stitch(views, image.width_px, image.height_px, card.input)


def _no_mask() -> None:
    return None


def _write_mask(mask: Callable[[], np.ndarray], path: Path) -> None:
    write_png(np.rint(mask() * 255).astype(np.uint8), path)


def _write_overlay(draw: Callable[..., np.ndarray], mask: Callable[[], np.ndarray | None], path: Path) -> None:
    write_jpeg(draw(mask=mask()), path)
