"""From logits of held-out images to a decision, the figures on a card, and a table of predictions."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cancernet_cli.core.arrays import F64, I64, Bools, Strings
from cancernet_cli.core.cards import Card, Decision
from cancernet_cli.core.figures import Figure, Table, figures_in
from cancernet_cli.engine.finetune.checks.doubts import RANKINGS
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages
from cancernet_cli.metrics.calibration import choose_threshold, fit_temperature
from cancernet_cli.metrics.groups import grouped_metrics
from cancernet_cli.metrics.intervals import measure_all
from cancernet_cli.metrics.probabilities import softmax
from cancernet_cli.metrics.resampling import Resampling
from cancernet_cli.metrics.scores import Scores
from cancernet_cli.outputs.tables.predictions import write_image_predictions

ON_FOLDS = "out-of-fold predictions of the training {units} ({folds} folds, {apart})"
ON_VALIDATION = "{images} validation images{of}"
ON_LEAK = ", of a split that leaks"


@dataclass(frozen=True)
class HeldOut:
    """Predictions on M images that neither weights nor decision were fitted on.

    rows: `[M]` row numbers of the images. probs: `[M, K]`, calibrated. predicted: `[M]` class indices.
    thresholds: `[M]`, the decision threshold of each; NaN with more than two classes.
    """

    rows: I64
    probs: F64
    predicted: I64
    thresholds: F64


def held_out(logits: F64, images: LabelledImages, basis: F64 | None = None) -> HeldOut:
    """The predictions on each fold, with the decision of the other folds; for a single split, on its test images.

    Args:
        logits: `[N, K]`; NaN in rows that were trained on.
        basis: `[N, K]`, the logits that temperature and threshold are fitted on; default: the same.
    """
    basis = logits if basis is None else basis
    probs, predicted = np.zeros_like(logits), np.zeros(len(logits), dtype=np.int64)
    thresholds = np.full(len(logits), np.nan)
    tested = np.zeros(len(logits), dtype=bool)
    for test, others in _sides(images):
        decision = decide(basis[others], images.labels[others], images.patients[others], images.classes)
        tested |= test
        # As float32, as a table stores them, so that its readers compute the same figures.
        probs[test] = softmax(logits[test] / decision.temperature).astype(np.float32)
        predicted[test] = probs[test].argmax(axis=1)
        if decision.positive:
            thresholds[test] = np.float32(decision.threshold)
            predicted[test] = probs[test, 1] >= np.float32(decision.threshold)
    rows = np.flatnonzero(tested)
    return HeldOut(rows, probs[rows], predicted[rows], thresholds[rows])


def final_decision(logits: F64, images: LabelledImages) -> Decision:
    """The card's decision: from all out-of-fold predictions, or from the validation part of a single split."""
    if images.splits is None:
        chosen = np.ones(len(logits), dtype=bool)
        apart = "no patient in two"
        if images.unknown_patients.any():
            apart = "no known patient in two"
        if images.unknown_patients.all():
            apart = "split by image, since no patient is known"
        on = ON_FOLDS.format(
            units="images" if images.unknown_patients.all() else "patients",
            folds=len(np.unique(images.folds)),
            apart="that leak" if images.leaks else apart,
        )
    else:
        chosen = images.splits == "val"
        known = len(np.unique(images.patients[chosen & ~images.unknown_patients]))
        on = ON_VALIDATION.format(images=chosen.sum(), of=f" of {known} patients" if known else "")
        on += ON_LEAK if images.leaks else ""
    decision = decide(logits[chosen], images.labels[chosen], images.patients[chosen], images.classes)
    return replace(decision, chosen_on=on)


def decide(logits: F64, labels: I64, patients: Strings, classes: tuple[str, ...]) -> Decision:
    """Temperature (Guo et al., arXiv:1706.04599) and, for two classes, the threshold of best balanced accuracy.

    Every patient has the same weight, so that one with many images does not dominate. Without images, or with those of
    one class only, temperature 1 and threshold 0.5 are kept.

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


def scores_of(held: HeldOut, images: LabelledImages) -> Scores:
    """Held-out predictions as the input of every figure."""
    seen = images.only(held.rows)
    # Numbered in order of occurrence, as when a table is read, so that the bootstrap draws the same patients.
    numbers = {name: number for number, name in enumerate(dict.fromkeys(seen.patients.tolist()))}
    at = np.array([numbers[name] for name in seen.patients.tolist()])
    return Scores.of(
        seen.labels,
        held.probs,
        classes=seen.classes,
        predicted=held.predicted,
        patients=np.where(seen.unknown_patients, -1, at),
        patient_names=tuple(numbers),
        magnifications=seen.magnifications,
    )


def figures(held: HeldOut, images: LabelledImages) -> dict[str, Any]:
    """A card's figures of held-out images, with intervals over patients."""
    found = grouped_metrics(scores_of(held, images))
    images_found, by_patient = found["images"], found["by_patient"]
    of_patients: dict[str, Any] = {}
    if by_patient["count"]:
        of_patients = {"patients": {**_kept(by_patient, "patients"), "count": by_patient["count"]}}
    return {
        "images": {
            **_kept(images_found, "images"),
            **({"patients": images_found["patients"]} if images_found["patients"] else {}),
        },
        **of_patients,
        "by_magnification": {name: _kept(group, "headline") for name, group in found["by_magnification"].items()},
        "confusion": {k: v for k, v in images_found["confusion"].items() if k in ("tn", "fp", "fn", "tp")},
    }


def rankings(scores: Scores) -> dict[str, Any]:
    """The figures of a baseline on a card: how well it ranks images."""
    specs = [spec for spec in figures_in("images") if spec.name in RANKINGS]
    return _kept(dict(measure_all(specs, scores, Resampling())), "images")


def write_predictions(held: HeldOut, images: LabelledImages, card: Card, path: Path) -> None:
    """Write the held-out predictions as a table that `cancernet evaluate` reads.

    Raises:
        OutputError: it cannot be written.
    """
    seen = images.only(held.rows)
    write_image_predictions(
        path,
        seen.files,
        seen.classes,
        probs=held.probs,
        predicted=held.predicted,
        labels=seen.labels,
        thresholds=held.thresholds,
        metadata={
            "model": card.name,
            "split": "out-of-fold" if images.splits is None else "held-out",
            "positive": card.decision.positive,
            "leaks": json.dumps(list(images.leaks)),
            "split_by": images.unit,
        },
    )


def _sides(images: LabelledImages) -> list[tuple[Bools, Bools]]:
    """Pairs of test rows and of the rows that decide for them; each `[N]` bool."""
    if images.splits is not None:
        return [(images.splits == "test", images.splits == "val")]
    return [(images.folds == fold, images.folds != fold) for fold in np.unique(images.folds)]


def _kept(found: dict[str, Any], table: Table) -> dict[str, Any]:
    """The figures of a table as cards hold them: rounded to four digits, and only those with a value."""
    known = {spec.name: found[spec.name] for spec in figures_in(table) if spec.name in found}
    return {name: _of_card(figure) for name, figure in known.items() if figure.value is not None}


def _of_card(figure: Figure) -> dict[str, Any]:
    kept: dict[str, Any] = {"value": figure.value, "count": figure.count}
    if figure.interval is not None:
        kept |= {"low": figure.interval.low, "high": figure.interval.high, "interval_units": figure.interval.units}
        if figure.interval.unit != "patient":
            kept["interval_unit"] = figure.interval.unit
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in kept.items() if v is not None}
