"""Logits to table rows: average the views, calibrate, decide."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cancernet_cli.core.cards import Card
from cancernet_cli.core.choices import UNSURE
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.images import DecodedBatch
from cancernet_cli.engine.classify.flags import flags_of, join_flags, slide_flags
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.metrics.abstention import is_unsure
from cancernet_cli.metrics.scores import softmax
from cancernet_cli.outputs.tables.predictions import row_batch

if TYPE_CHECKING:
    from cancernet_cli.data.tiles.slide_plan import SlidePlan  # scikit-image, which images do not need

NOT_FINITE = Failure("classify", "NonFiniteOutput", "the network output is not finite")


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    probs: `[K]` float32. novelty: float32, 1 at the card's limit, NaN if the model cannot tell. flags: see
    `engine.classify.flags`. views: its rows of the batch.
    """

    label: str
    probs: np.ndarray
    mask_fraction: float
    novelty: float
    flags: tuple[str, ...]
    views: slice


def probabilities(logits: np.ndarray, card: Card) -> np.ndarray:
    """Calibrated probabilities `[..., K]` float32 of logits `[..., K]`, computed in float64."""
    return softmax(logits.astype(np.float64) / card.decision.temperature).astype(np.float32)


def predict(batch: DecodedBatch, answer: Outputs, card: Card) -> list[Prediction | Failure]:
    """One prediction or failure per file of the batch; the logits of an image's views are averaged."""
    predictions: list[Prediction | Failure] = []
    start = 0
    for image in batch.images:
        if isinstance(image, Failure):
            predictions.append(image)
            continue
        views = slice(start, start + image.views)
        start = views.stop
        probs = probabilities(answer.logits[views].astype(np.float64).mean(axis=0), card)
        if not np.isfinite(probs).all():
            predictions.append(NOT_FINITE)
            continue
        mask_fraction = float(answer.mask_fraction[views].mean())
        novelty = float("nan") if answer.novelty is None else float(np.mean(answer.novelty[views], dtype=np.float64))
        novelty = float(np.float32(novelty))  # as in the table, so that the flag can be reproduced from it
        flags = flags_of(
            novelty=novelty,
            tissue_fraction=image.quality.tissue_fraction,
            blur=image.quality.blur,
            brightness=image.quality.brightness,
            of_file=image.flags,
        )
        predictions.append(Prediction(decide(probs, card, flags), probs, mask_fraction, novelty, flags, views))
    return predictions


def decide(probs: np.ndarray, card: Card, flags: Collection[str] = ()) -> str:
    """Label for probabilities `[K]`: by the card's threshold if there are two classes, otherwise the most probable.

    It is `unsure` if the card abstains: for a probability in its band, or for an image, tile or slide with one of the
    flags that it names.
    """
    classes, positive, abstain = card.architecture.classes, card.decision.positive, card.decision.abstain
    if abstain is not None:
        in_band = positive and is_unsure(probs[classes.index(positive)], abstain.low, abstain.high)
        if in_band or not set(abstain.flags).isdisjoint(flags):
            return UNSURE
    if not positive:
        return classes[int(probs.argmax())]
    (negative,) = (name for name in classes if name != positive)
    # Compared as float32, as the table stores both, so that the label can be reproduced from the table.
    return positive if probs[classes.index(positive)] >= np.float32(card.decision.threshold) else negative


def record_batch(
    batch: DecodedBatch, predictions: list[Prediction | Failure], card: Card, schema: pa.Schema
) -> pa.RecordBatch:
    """The rows of a batch, with the columns of a part (`outputs.tables.predictions.part_schema`)."""
    good = [p if isinstance(p, Prediction) else None for p in predictions]
    seen = [None if isinstance(image, Failure) else image for image in batch.images]
    columns: dict[str, Any] = {
        **_of_files(batch.files, card),
        "status": ["ok" if p else "failed" for p in good],
        "error": [str(p) if isinstance(p, Failure) else "" for p in predictions],
        "label": [p.label if p else None for p in good],
        "flags": [join_flags(p.flags) if p else "" for p in good],
        "novelty": np.array([p.novelty if p else np.nan for p in good], np.float32),
        **{
            f"prob_{name}": [p.probs[k] if p else None for p in good]
            for k, name in enumerate(card.architecture.classes)
        },
        "width_px": [i.width_px if i else None for i in seen],
        "height_px": [i.height_px if i else None for i in seen],
        "mask_fraction": [p.mask_fraction if p else None for p in good],
        "blur": [i.quality.blur if i else None for i in seen],
        "brightness": [i.quality.brightness if i else None for i in seen],
        "tissue_fraction": [i.quality.tissue_fraction if i else None for i in seen],
        "views": [i.views if i else None for i in seen],
        "seen_in_training": [i.seen if i else None for i in seen],
    }
    return row_batch(columns, len(batch.files), schema)


def slide_batch(
    file: FoundFile,
    plan: SlidePlan | None,
    prediction: Mapping[str, Any] | Failure,
    card: Card,
    schema: pa.Schema,
    *,
    seen: bool | None = None,
) -> pa.RecordBatch:
    """The row of a slide, with the columns of a part.

    Args:
        plan: its tiles; None if the slide could not be opened.
        prediction: as returned by `SlideState.predict`. seen: whether the model was trained on it, if known.
    """
    row: dict[str, Any] = {}
    if plan is not None:
        row = {
            "mpp": plan.resolution.mpp,
            "mpp_source": plan.resolution.source,
            "width_px": plan.levels[0].width_px,
            "height_px": plan.levels[0].height_px,
            "tissue_fraction": float(plan.tissue.mask.mean()),
            "pen_fraction": float(plan.tissue.pen.mean()),
            "tiles": len(plan.tiles),
            "seen_in_training": seen,
            "flags": slide_flags(plan.flags),
        }
    row |= {"status": "failed", "error": str(prediction)} if isinstance(prediction, Failure) else prediction
    return row_batch(_of_files([file], card) | row, 1, schema)


def _of_files(files: list[FoundFile], card: Card) -> dict[str, Any]:
    """Columns known before the files are opened."""
    truths = [file.truth for file in files]
    return {
        "path": [file.path for file in files],
        "kind": [file.kind for file in files],
        "decision_threshold": card.decision.threshold if card.decision.positive else None,
        "patient": [t.patient for t in truths],
        "slide": [t.slide for t in truths],
        "magnification": [t.magnification for t in truths],
        "mpp": [t.mpp for t in truths],
        "true_label": [t.label for t in truths],
        "flags": "",
        "model": card.name,
        "_size_bytes": [file.size_bytes for file in files],
        "_mtime_ns": [file.mtime_ns for file in files],
    }
