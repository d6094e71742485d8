"""From logits of held-out images to a decision, to the figures on a card, and to a table of predictions."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cancernet_cli.core.arrays import F64, I64, Bools, Strings
from cancernet_cli.core.cards import Card, Decision
from cancernet_cli.core.files import atomic_write
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages
from cancernet_cli.metrics.calibration import choose_threshold, fit_temperature
from cancernet_cli.metrics.groups import grouped_metrics
from cancernet_cli.metrics.probabilities import softmax
from cancernet_cli.metrics.scores import Scores
from cancernet_cli.outputs.tables.predictions import ROW_GROUP_ROWS, table_schema

OF_IMAGES = ("auroc", "auprc", "accuracy", "precision", "recall", "specificity", "f1", "log_loss", "brier", "ece")
KEPT = ("value", "count", "low", "high", "interval_units")
ON_FOLDS = "out-of-fold predictions of the training patients ({folds} folds, {apart})"
ON_VALIDATION = "{images} validation images of {patients} patients"
ON_LEAK = ", of a split that leaks"


@dataclass(frozen=True)
class HeldOut:
    """Predictions on M images from which neither the weights nor the decision behind them had learned.

    rows: `[M]` row numbers of the images. probs: `[M, K]`, calibrated. predicted: `[M]` class numbers.
    thresholds: `[M]`, what each was decided at; NaN for more than two classes.
    """

    rows: I64
    probs: F64
    predicted: I64
    thresholds: F64


def held_out(logits: F64, images: LabelledImages, basis: F64 | None = None) -> HeldOut:
    """The predictions of each fold, decided by what the other folds say; of a single split, of its test images.

    Args:
        logits: `[N, K]`; NaN in rows that were learned from.
        basis: `[N, K]` the logits that temperature and threshold are fitted on; default: the same.
    """
    basis = logits if basis is None else basis
    probs, predicted = np.zeros_like(logits), np.zeros(len(logits), dtype=np.int64)
    thresholds = np.full(len(logits), np.nan)
    tested = np.zeros(len(logits), dtype=bool)
    for test, others in _sides(images):
        decision = decide(basis[others], images.labels[others], images.patients[others], images.classes)
        tested |= test
        # As float32, as a table stores them, so that whoever reads it comes to the same figures.
        probs[test] = softmax(logits[test] / decision.temperature).astype(np.float32)
        predicted[test] = probs[test].argmax(axis=1)
        if decision.positive:
            thresholds[test] = np.float32(decision.threshold)
            predicted[test] = probs[test, 1] >= np.float32(decision.threshold)
    rows = np.flatnonzero(tested)
    return HeldOut(rows, probs[rows], predicted[rows], thresholds[rows])


def final_decision(logits: F64, images: LabelledImages) -> Decision:
    """The decision that the card gets: by all out-of-fold predictions, or by the validation part of a single split."""
    if images.splits is None:
        chosen = np.ones(len(logits), dtype=bool)
        apart = "no patient in two"
        if images.unknown_patients.any():
            apart = "as far as patients are known, none in two"
        if images.unknown_patients.all():
            apart = "split by image, since no patient is known"
        on = ON_FOLDS.format(folds=len(np.unique(images.folds)), apart="that leak" if images.leaks else apart)
    else:
        chosen = images.splits == "val"
        known = len(np.unique(images.patients[chosen & ~images.unknown_patients]))
        on = ON_VALIDATION.format(images=chosen.sum(), patients=known or "unknown")
        on += ON_LEAK if images.leaks else ""
    decision = decide(logits[chosen], images.labels[chosen], images.patients[chosen], images.classes)
    return replace(decision, chosen_on=on)


def decide(logits: F64, labels: I64, patients: Strings, classes: tuple[str, ...]) -> Decision:
    """Temperature (Guo et al., arXiv:1706.04599) and, for two classes, the threshold of best balanced accuracy.

    Every patient weighs the same, so that one with many images does not decide alone. Where images are lacking (none,
    or of two classes one), temperature 1 and threshold 0.5 stay.

    Args:
        logits: `[N, K]`. labels: `[N]`; of two classes the second is the positive one. patients: `[N]` names.
    """
    _, at, counts = np.unique(patients, return_inverse=True, return_counts=True)
    weights = 1 / counts[at]
    temperature = fit_temperature(logits, labels, weights) if len(np.unique(labels)) > 1 else 1.0
    if len(classes) != 2:
        return Decision(temperature=temperature)
    threshold = 0.5
    if len(np.unique(labels)) == 2:
        threshold = choose_threshold(labels == 1, softmax(logits / temperature)[:, 1], weights)
    return Decision(positive=classes[1], temperature=temperature, threshold=threshold)


def figures(held: HeldOut, images: LabelledImages) -> dict[str, Any]:
    """A card's figures of held-out images, with intervals over patients."""
    seen = images.only(held.rows)
    # Numbered as they come, as in a table, so that the bootstrap draws the same patients.
    numbers = {name: number for number, name in enumerate(dict.fromkeys(seen.patients.tolist()))}
    at = np.array([numbers[name] for name in seen.patients.tolist()])
    scores = Scores.of(
        seen.labels,
        held.probs,
        classes=seen.classes,
        predicted=held.predicted,
        patients=np.where(seen.unknown_patients, -1, at),
        patient_names=tuple(numbers),
        magnifications=seen.magnifications,
    )
    found = grouped_metrics(scores)
    by_patient = found["by_patient"]
    return {
        "images": {**_kept(found["images"], OF_IMAGES), "patients": found["images"]["patients"]},
        "patients": {
            **_kept(by_patient, ("auroc", "recognition_rate")),
            "count": by_patient["count"],
        },
        "by_magnification": {
            name: _kept(group, ("auroc", "accuracy")) for name, group in found["by_magnification"].items()
        },
        "confusion": {k: v for k, v in found["images"]["confusion"].items() if k in ("tn", "fp", "fn", "tp")},
    }


def write_predictions(held: HeldOut, images: LabelledImages, card: Card, path: Path) -> None:
    """The held-out predictions as a table like those of `cancernet classify`; `cancernet evaluate` reads it.

    Raises:
        OutputError: it cannot be written.
    """
    files = [images.files[row] for row in held.rows]
    count = len(files)
    metadata = {
        "model": card.name,
        "split": "out-of-fold" if images.splits is None else "held-out",
        "positive": card.decision.positive,
        "leaks": json.dumps(list(images.leaks)),
    }
    schema = table_schema(images.classes, metadata)
    names = np.array(images.classes)
    columns: dict[str, Any] = {
        "path": [file.path for file in files],
        "kind": ["image"] * count,
        "status": ["ok"] * count,
        "error": [""] * count,
        "label": names[held.predicted].tolist(),
        **{f"prob_{name}": held.probs[:, k] for k, name in enumerate(images.classes)},
        "decision_threshold": _or_null(held.thresholds),
        "patient": [file.truth.patient for file in files],
        "slide": [file.truth.slide for file in files],
        "magnification": _or_null(images.magnifications[held.rows]),
        "mpp": [file.truth.mpp for file in files],
        "true_label": names[images.labels[held.rows]].tolist(),
        "model": [card.name] * count,
    }
    empty = pa.nulls(count)
    table = pa.table(
        [pa.array(columns[f.name]).cast(f.type) if f.name in columns else empty.cast(f.type) for f in schema],
        schema=schema,
    )
    with atomic_write(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", row_group_size=ROW_GROUP_ROWS)


def _sides(images: LabelledImages) -> list[tuple[Bools, Bools]]:
    """What is tested, and what decides on it; each `[N]` bool."""
    if images.splits is not None:
        return [(images.splits == "test", images.splits == "val")]
    return [(images.folds == fold, images.folds != fold) for fold in np.unique(images.folds)]


def _or_null(values: F64) -> pa.Array:
    return pa.array(values, pa.float32(), mask=~np.isfinite(values))


def _kept(found: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The figures that a card has room for, rounded to four digits; those without a value are left out."""
    known = {name: found[name] for name in names if found.get(name, {}).get("value") is not None}
    return {
        name: {k: round(v, 4) if isinstance(v, float) else v for k, v in figure.items() if k in KEPT and v is not None}
        for name, figure in known.items()
    }
