"""From logits to the table's rows: pool the views, calibrate, decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cancernet_cli.core.cards import Card
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.images import DecodedBatch
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.metrics.probabilities import softmax

if TYPE_CHECKING:
    from cancernet_cli.data.tiles.slide_plan import SlidePlan  # scikit-image, which images do not need

NOT_FINITE = Failure("classify", "NonFiniteOutput", "the network gave numbers that are not finite")


@dataclass(frozen=True)
class Verdict:
    """The decision on one image: `probs` has one entry for each class; `views` selects its rows of the batch."""

    label: str
    probs: np.ndarray
    mask_fraction: float
    views: slice


def judge(batch: DecodedBatch, answer: Outputs, card: Card) -> list[Verdict | Failure]:
    """One verdict or failure for each file of the batch."""
    verdicts: list[Verdict | Failure] = []
    start = 0
    for image in batch.images:
        if isinstance(image, Failure):
            verdicts.append(image)
            continue
        views = slice(start, start + image.views)
        start = views.stop
        probs = softmax(answer.logits[views].astype(np.float64).mean(axis=0) / card.decision.temperature)
        if not np.isfinite(probs).all():
            verdicts.append(NOT_FINITE)
            continue
        label = decide(probs.astype(np.float32), card)
        verdicts.append(Verdict(label, probs.astype(np.float32), float(answer.mask_fraction[views].mean()), views))
    return verdicts


def decide(probs: np.ndarray, card: Card) -> str:
    """The label for an image's probabilities `[K]`: by the card's threshold for two classes, else the most probable."""
    classes, positive = card.architecture.classes, card.decision.positive
    if not positive:
        return classes[int(probs.argmax())]
    (negative,) = (name for name in classes if name != positive)
    # Compared as float32, as the table stores both, so that a reader of the table comes to the same label.
    return positive if probs[classes.index(positive)] >= np.float32(card.decision.threshold) else negative


def record_batch(
    batch: DecodedBatch, verdicts: list[Verdict | Failure], card: Card, schema: pa.Schema
) -> pa.RecordBatch:
    """The rows of a batch, with the columns of a part (`outputs.tables.predictions.part_schema`)."""
    good = [v if isinstance(v, Verdict) else None for v in verdicts]
    seen = [None if isinstance(image, Failure) else image for image in batch.images]
    columns: dict[str, list[object]] = {
        **_of_files(batch.files, card),
        "status": ["ok" if v else "failed" for v in good],
        "error": [str(v) if isinstance(v, Failure) else "" for v in verdicts],
        "label": [v.label if v else None for v in good],
        **{
            f"prob_{name}": [v.probs[k] if v else None for v in good]
            for k, name in enumerate(card.architecture.classes)
        },
        "width_px": [i.width_px if i else None for i in seen],
        "height_px": [i.height_px if i else None for i in seen],
        "mask_fraction": [v.mask_fraction if v else None for v in good],
        "blur": [i.quality.blur if i else None for i in seen],
        "tissue_fraction": [i.quality.tissue_fraction if i else None for i in seen],
        "views": [i.views if i else None for i in seen],
    }
    return _batch(columns, len(batch.files), schema)


def slide_batch(
    file: FoundFile, plan: SlidePlan | None, verdict: Mapping[str, Any] | Failure, card: Card, schema: pa.Schema
) -> pa.RecordBatch:
    """A slide's row, likewise.

    Args:
        plan: where its tiles lie; None where it could not be opened.
        verdict: as `SlideRun.verdict` gives it.
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
            "flags": " ".join(plan.flags),
        }
    row |= {"status": "failed", "error": str(verdict)} if isinstance(verdict, Failure) else verdict
    return _batch(_of_files([file], card) | {name: [value] for name, value in row.items()}, 1, schema)


def _of_files(files: list[FoundFile], card: Card) -> dict[str, list[object]]:
    """What is known of files before they are opened."""
    threshold = card.decision.threshold if card.decision.positive else None
    truths = [file.truth for file in files]
    return {
        "path": [file.path for file in files],
        "kind": [file.kind for file in files],
        "decision_threshold": [threshold] * len(files),
        "patient": [t.patient for t in truths],
        "slide": [t.slide for t in truths],
        "magnification": [t.magnification for t in truths],
        "mpp": [t.mpp for t in truths],
        "true_label": [t.label for t in truths],
        "flags": [""] * len(files),
        "model": [card.name] * len(files),
        "_size_bytes": [file.size_bytes for file in files],
        "_mtime_ns": [file.mtime_ns for file in files],
    }


def _batch(columns: Mapping[str, list[object]], count: int, schema: pa.Schema) -> pa.RecordBatch:
    """The columns in the schema's order; those that say nothing here are null."""
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(count, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
