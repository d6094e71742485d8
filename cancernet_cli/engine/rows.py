"""From logits to the table's rows: pool the views, calibrate, decide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cancernet_cli.core.cards import Card
from cancernet_cli.core.records import Failure
from cancernet_cli.data.loading import DecodedBatch
from cancernet_cli.engine.runner import Answer


@dataclass(frozen=True)
class Verdict:
    """The decision on one image: `probs` has one entry for each class; `views` selects its rows of the batch."""

    label: str
    probs: np.ndarray
    mask_fraction: float
    views: slice


def judge(batch: DecodedBatch, answer: Answer, card: Card) -> list[Verdict | Failure]:
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
            verdicts.append(Failure("classify", "NonFiniteOutput", "the network gave numbers that are not finite"))
            continue
        label = decide(probs.astype(np.float32), card)
        verdicts.append(Verdict(label, probs.astype(np.float32), float(answer.mask_fraction[views].mean()), views))
    return verdicts


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis, safe against overflow."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


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
    """The rows of a batch, with the columns of a part (`outputs.table.part_schema`)."""
    threshold = card.decision.threshold if card.decision.positive else None
    truths = [file.truth for file in batch.files]
    good = [v if isinstance(v, Verdict) else None for v in verdicts]
    seen = [None if isinstance(image, Failure) else image for image in batch.images]
    columns: dict[str, list[object]] = {
        "path": [file.path for file in batch.files],
        "kind": ["image"] * len(batch.files),
        "status": ["ok" if v else "failed" for v in good],
        "error": [str(v) if isinstance(v, Failure) else "" for v in verdicts],
        "label": [v.label if v else None for v in good],
        **{
            f"prob_{name}": [v.probs[k] if v else None for v in good]
            for k, name in enumerate(card.architecture.classes)
        },
        "decision_threshold": [threshold] * len(batch.files),
        "patient": [t.patient for t in truths],
        "slide": [t.slide for t in truths],
        "magnification": [t.magnification for t in truths],
        "mpp": [t.mpp for t in truths],
        "true_label": [t.label for t in truths],
        "width_px": [i.width_px if i else None for i in seen],
        "height_px": [i.height_px if i else None for i in seen],
        "mask_fraction": [v.mask_fraction if v else None for v in good],
        "blur": [i.quality.blur if i else None for i in seen],
        "tissue_fraction": [i.quality.tissue_fraction if i else None for i in seen],
        "views": [i.views if i else None for i in seen],
        "model": [card.name] * len(batch.files),
        "_size_bytes": [file.size_bytes for file in batch.files],
        "_mtime_ns": [file.mtime_ns for file in batch.files],
    }
    return pa.RecordBatch.from_arrays([pa.array(columns[f.name], f.type) for f in schema], schema=schema)
