"""From logits of held-out images to a decision, the figures on a card, and a table of predictions."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cancernet_cli.core.arrays import F64, I64, Bools, Strings
from cancernet_cli.core.cards import Abstain, Card, Decision
from cancernet_cli.core.figures import Figure, Table, figures_in
from cancernet_cli.engine.finetune.checks.doubts import RANKINGS
from cancernet_cli.engine.finetune.dataset.labelled_images import Division, LabelledImages
from cancernet_cli.metrics.abstention import MOST_ERROR, fit_band, is_unsure
from cancernet_cli.metrics.calibration import choose_threshold, fit_temperature
from cancernet_cli.metrics.groups import grouped_metrics, repeated_metrics
from cancernet_cli.metrics.intervals import measure_all
from cancernet_cli.metrics.resampling import Resampling
from cancernet_cli.metrics.scores import Scores, softmax
from cancernet_cli.outputs.tables.predictions import write_image_predictions

ON_FOLDS = "out-of-fold predictions of the training {units} ({folds}, {apart})"
ON_VALIDATION = "{images} validation images{of}"
ON_LEAK = ", of a split that leaks"
UNSURE_FLAGS = ("out_of_domain", "no_tissue")


@dataclass(frozen=True)
class HeldOut:
    """Predictions on M images that neither weights nor decision were fitted on.

    rows: `[M]` row numbers of the images. probs: `[M, K]`, calibrated. predicted: `[M]` class indices.
    thresholds: `[M]`, the decision threshold of each; NaN with more than two classes. unsure: `[M]`, whether the label
    is `unsure` instead of the class in `predicted`.
    """

    rows: I64
    probs: F64
    predicted: I64
    thresholds: F64
    unsure: Bools


def held_out(logits: F64, images: LabelledImages, basis: F64 | None = None, *, abstain_error: float = 0) -> HeldOut:
    """The predictions on each fold, with the decision of the other folds; for a single split, on its test images.

    Args:
        logits: `[N, K]`; NaN in rows that were trained on.
        basis: `[N, K]`, or `[R, N, K]` of several divisions, the logits that temperature and threshold are fitted on;
            default: the same.
        abstain_error: to promise; 0: every image gets a label.
    """
    basis = logits if basis is None else basis
    probs, predicted = np.zeros_like(logits), np.zeros(len(logits), dtype=np.int64)
    thresholds = np.full(len(logits), np.nan)
    tested, unsure = np.zeros(len(logits), dtype=bool), np.zeros(len(logits), dtype=bool)
    for test, others in _sides(images):
        decision = _decided(basis, others, images)
        tested |= test
        # As float32, as a table stores them, so that its readers compute the same figures.
        probs[test] = softmax(logits[test] / decision.temperature).astype(np.float32)
        predicted[test] = probs[test].argmax(axis=1)
        if decision.positive:
            thresholds[test] = np.float32(decision.threshold)
            predicted[test] = probs[test, 1] >= np.float32(decision.threshold)
            abstain = abstention(_rows(basis, others), images.only(np.flatnonzero(others)), decision, abstain_error)
            unsure[test] = is_unsure(probs[test, 1], abstain.low, abstain.high)
    rows = np.flatnonzero(tested)
    return HeldOut(rows, probs[rows], predicted[rows], thresholds[rows], unsure[rows])


def held_out_by_division(
    divisions: Sequence[Division], images: LabelledImages, abstain_error: float = 0
) -> list[HeldOut]:
    """`held_out` for each division; temperature and threshold are fitted on the other patients in all divisions."""
    basis = np.stack([division.logits for division in divisions])
    return [
        held_out(one.logits, replace(images, folds=one.folds), basis, abstain_error=abstain_error) for one in divisions
    ]


def final_decision(logits: F64, images: LabelledImages, abstain_error: float = 0) -> Decision:
    """The card's decision: from all out-of-fold predictions, or from the validation part of a single split.

    Args:
        logits: `[N, K]`, or `[R, N, K]` of several divisions.
        abstain_error: to promise; 0: no promise.
    """
    divisions = len(logits) if logits.ndim == 3 else 1
    if images.splits is None:
        chosen = np.ones(len(images.labels), dtype=bool)
        apart = "no patient in two"
        if images.unknown_patients.any():
            apart = "no known patient in two"
        if images.unknown_patients.all():
            apart = "split by image, since no patient is known"
        units = "images" if images.unknown_patients.all() else "patients"
        folds = f"{len(np.unique(images.folds))} folds"
        if divisions > 1:
            folds = f"{divisions} divisions into {folds}"
        on = ON_FOLDS.format(units=units, folds=folds, apart="that leak" if images.leaks else apart)
    else:
        chosen = images.splits == "val"
        known = len(np.unique(images.patients[chosen & ~images.unknown_patients]))
        on = ON_VALIDATION.format(images=chosen.sum(), of=f" of {known} patients" if known else "")
        on += ON_LEAK if images.leaks else ""
    decision = replace(_decided(logits, chosen, images), chosen_on=on)
    abstain = abstention(_rows(logits, chosen), images.only(np.flatnonzero(chosen)), decision, abstain_error)
    return replace(decision, abstain=abstain)


def _decided(logits: F64, chosen: Bools, images: LabelledImages) -> Decision:
    """`decide` on the chosen rows, `[N]`, of one division, `[N, K]`, or of several, `[R, N, K]`."""
    rows = _rows(logits, chosen)
    repeats, _, classes = rows.shape
    labels, patients = np.tile(images.labels[chosen], repeats), np.tile(images.patients[chosen], repeats)
    return decide(rows.reshape(-1, classes), labels, patients, images.classes)


def _rows(logits: F64, chosen: Bools) -> F64:
    """The chosen rows, `[N]`, of one division, `[N, K]`, or of several, `[R, N, K]`, as `[R, M, K]`."""
    return logits.reshape(-1, *logits.shape[-2:])[:, chosen]


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


def abstention(logits: F64, images: LabelledImages, decision: Decision, error: float) -> Abstain:
    """When the label is `unsure`: in a band fitted on these images, if the error can be promised, and for some flags.

    Args:
        logits: `[R, N, K]`, by models of R divisions that were not trained on the images. error: 0 promises nothing.
    """
    cases = {
        name: len(np.unique(images.patients[images.labels == number])) for number, name in enumerate(images.classes)
    }
    none = Abstain(flags=UNSURE_FLAGS, cases=cases)
    if not error:
        return none
    if not decision.positive:
        return replace(none, chosen_on="no band: it takes two classes")
    if images.leaks:
        return replace(none, chosen_on="no band: the split leaks")
    if images.unknown_patients.all():
        return replace(none, chosen_on="no band: the patients are unknown, so nothing can be promised for new ones")
    # As float32, as a table stores them, so that the limits mean there what they mean here.
    probs = softmax(logits.reshape(-1, logits.shape[-1]) / decision.temperature)[:, 1].astype(np.float32)
    labels, patients = np.tile(images.labels == 1, len(logits)), np.tile(images.patients, len(logits))
    band = fit_band(labels, probs, patients, threshold=decision.threshold, error=error)
    counts = " and ".join(f"{count} {name}" for name, count in cases.items())
    if band is None:
        return replace(none, chosen_on=f"no band: {counts} cases; it takes {_fewest(MOST_ERROR)} of each class")
    on = f"{decision.chosen_on}: {counts} cases".removeprefix(": ")
    if band.error > error:
        on += f"; promising an error of {error:g} takes {_fewest(error)} of each class"
    promised = math.ceil(band.error * 1e4 - 1e-6) / 1e4  # rounded up, so that it can be kept
    accuracy = None if band.covered_accuracy is None else round(band.covered_accuracy, 4)
    return replace(
        none,
        low=band.low,
        high=band.high,
        error=promised,
        coverage=round(band.coverage, 4),
        covered_accuracy=accuracy,
        chosen_on=on,
    )


def _fewest(error: float) -> int:
    """The number of cases of each class that it takes to promise an error."""
    return math.ceil(1 / error - 1 - 1e-9)


def figures(held: HeldOut, images: LabelledImages) -> dict[str, Any]:
    """A card's figures of held-out images, with intervals over patients."""
    found = grouped_metrics(scores_of(held, images))
    matrix = found["images"]["confusion"]
    return {**_of_groups(found), "confusion": {k: v for k, v in matrix.items() if k in ("tn", "fp", "fn", "tp")}}


def division_figures(held: Sequence[HeldOut], images: LabelledImages) -> dict[str, Any]:
    """Figures of several divisions into folds: see `metrics.groups.repeated_metrics`."""
    return repeated_metrics([scores_of(one, images) for one in held])


def divisions_on_card(found: dict[str, Any]) -> dict[str, Any]:
    """What a card keeps of `division_figures`."""
    return {"count": found["count"], **_of_groups(found)}


def scores_of(held: HeldOut, images: LabelledImages) -> Scores:
    """Held-out predictions with labels, patients and magnifications."""
    seen = images.only(held.rows)
    # Numbered in order of occurrence, as when a table is read, so that the bootstrap draws the same patients.
    numbers = {name: number for number, name in enumerate(dict.fromkeys(seen.patients.tolist()))}
    at = np.array([numbers[name] for name in seen.patients.tolist()])
    return Scores.of(
        seen.labels,
        held.probs,
        classes=seen.classes,
        predicted=held.predicted,
        unsure=held.unsure,
        patients=np.where(seen.unknown_patients, -1, at),
        patient_names=tuple(numbers),
        magnifications=seen.magnifications,
    )


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
        unsure=held.unsure,
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


def _of_groups(found: dict[str, Any]) -> dict[str, Any]:
    """Figures of images, magnifications and, where they are known, patients as cards hold them."""
    by_patient = found["by_patient"]
    return {
        "images": _of_images(found["images"], "images"),
        **(
            {"patients": {**_kept(by_patient, "patients"), "count": by_patient["count"]}} if by_patient["count"] else {}
        ),
        "by_magnification": {
            name: _of_images(group, "magnifications") for name, group in found["by_magnification"].items()
        },
    }


def _of_images(found: dict[str, Any], table: Table) -> dict[str, Any]:
    return {**_kept(found, table), **({"patients": found["patients"]} if found["patients"] else {})}


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
        kept |= {"interval_method": "exact"} if figure.is_one_sided else {}
        kept |= {"interval_unit": figure.interval.unit} if figure.interval.unit != "patient" else {}
    if figure.each:
        kept["each"] = " ".join(f"{value:.4f}" for value in figure.each)
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in kept.items() if v is not None}
