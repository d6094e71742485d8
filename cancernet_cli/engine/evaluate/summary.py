"""Metrics of a predictions table, and the JSON file that holds them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cancernet_cli.core.arrays import Bools
from cancernet_cli.core.cards import Card
from cancernet_cli.core.figures import plain
from cancernet_cli.core.files import write_bytes
from cancernet_cli.core.records import Kind
from cancernet_cli.engine.evaluate.labelled import Labelled, kinds_in, read_labelled
from cancernet_cli.metrics.groups import grouped_metrics
from cancernet_cli.metrics.resampling import Resampling
from cancernet_cli.metrics.scores import Scores

SCHEMA = 1
_FEW_PATIENTS = 10  # of a class; with fewer, the percentile bootstrap itself is too narrow
_LISTED = 100
_DEFAULT = Resampling()


def summarise(
    table: Path,
    *,
    positive: str,
    classes: Sequence[str],
    seen_patients: Collection[str] = (),
    seen_note: str = "",
) -> dict[str, Any] | None:
    """Every figure of a predictions table as JSON; None if no row with a prediction has a label.

    Decisions are the table's own `label` column. Figures are under `images`, `by_magnification`, `by_slide` and
    `by_patient`, each as `core.figures.Figure.to_json` gives it. They are those of images, or of slides if no image has
    a label, as `unit` states. If both have labels, `whole_slides` holds those of slides.

    Args:
        positive: of two classes, the one that precision, recall, AUROC and the like are about.
        seen_patients: patients whose images the model was trained on. If the table has some, `training_overlap` holds a
            warning, and `unseen` the same figures for all other rows (None if there are none).
        seen_note: where that is known from, for example the card's name.

    Raises:
        InputError: not a Parquet file, or a column of a predictions table is missing.
    """
    ordered = in_order(classes, positive)
    kinds = {kind: read_labelled(table, ordered, kind) for kind in kinds_in(table)}
    found = [
        figures_of(labelled, seen_patients=seen_patients, seen_note=seen_note, unit=kind)
        for kind, labelled in kinds.items()
        if labelled.scores.n_images
    ]
    if not found:
        return None
    return found[0] | ({"whole_slides": found[1]} if len(found) > 1 else {})


def in_order(classes: Sequence[str], positive: str) -> list[str]:
    """The classes in the order that `Scores` needs: of two, the positive one last."""
    return sorted(classes, key=lambda name: name == positive) if len(classes) == 2 else list(classes)


def figures_of(
    labelled: Labelled,
    *,
    seen_patients: Collection[str] = (),
    seen_note: str = "",
    threshold: float | None = None,
    resampling: Resampling = _DEFAULT,
    unit: Kind = "image",
) -> dict[str, Any]:
    """What `summarise` gives of one kind of rows, at least one of them labelled.

    Args:
        unit: what the rows are.
        threshold: decides on a slide's mean probability; None: the table's own, if it has a single one.
    """
    scores = labelled.scores
    classes, thresholds = list(scores.classes), sorted(labelled.thresholds)
    if threshold is None:
        threshold = thresholds[0] if len(thresholds) == 1 else None if thresholds else 0.5
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "unit": unit,
        "decision": {
            "classes": classes,
            "positive": classes[1] if len(classes) == 2 else None,
            "thresholds": thresholds,
        },
        "exact": True,  # earlier versions rounded the probabilities of very large tables
        "probability_step": 0.0,
        "failed": labelled.failed,
        "failed_labelled": labelled.failed_labelled,
        "unlabelled": labelled.unlabelled,
        "unusable": labelled.unusable,
        "unknown_labels": labelled.unknown_labels,
        **plain(grouped_metrics(scores, threshold=threshold, resampling=resampling)),
    }
    overlap = training_overlap(scores, frozenset(seen_patients), seen_note, unit=unit)
    found["training_overlap"] = overlap
    if overlap["images"]:
        others = scores.where(~of_patients(scores, seen_patients))
        unseen = grouped_metrics(others, threshold=threshold, resampling=resampling) if others.n_images else None
        found["unseen"] = plain(unseen)
    found["warnings"] = [*_warnings(found), *_excluded(labelled)]
    return found


def write_metrics(metrics: dict[str, Any], path: Path) -> None:
    """Write metrics as JSON, the same bytes for the same figures.

    Raises:
        OutputError: the file cannot be written.
    """
    write_bytes(path, (json.dumps(metrics, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


def seen_patients(card: Card) -> set[str]:
    """Patients whose images the model was trained on: those of every split except a held-out test."""
    return {p for split, patients in card.training.splits.items() if not split.startswith("test") for p in patients}


def of_patients(scores: Scores, names: Collection[str]) -> Bools:
    """Which entries are of these patients, `[N]`."""
    chosen = frozenset(names)
    is_chosen = np.array([*(name in chosen for name in scores.patient_names), False])  # the last is for patient -1
    return np.asarray(is_chosen[scores.patients])


def training_overlap(scores: Scores, seen: Collection[str], note: str = "", *, unit: Kind = "image") -> dict[str, Any]:
    """How many images are of patients the model was trained on, with a warning and the patients' names if any are."""
    rows = of_patients(scores, seen)
    names = sorted(scores.patient_names[i] for i in np.unique(scores.patients[rows]).tolist())
    images = int(scores.counts[rows].sum())
    overlap: dict[str, Any] = {"images": images, "patients": len(names), "note": note}
    if images:
        overlap["patient_names"] = names[:_LISTED]
        overlap["warning"] = (
            f"{images:,} of {scores.n_images:,} labelled {unit}s are of {_patients(len(names))} whose images the model "
            f"was trained on{f' ({note})' if note else ''}, so the overall figures are not a test of the model"
        )
    return overlap


def _patients(n: int) -> str:
    return f"{n:,} patient" if n == 1 else f"{n:,} patients"


def _warnings(found: dict[str, Any]) -> list[str]:
    """Limits of the figures, one sentence each."""
    images, unit, warnings = found["images"], found["unit"], []
    if found["training_overlap"]["images"]:
        warnings.append(found["training_overlap"]["warning"])
    unknown = images["images_without_patient"]
    if unknown:
        warnings.append(
            f"the patient of {unknown:,} of {images['count']:,} labelled {unit}s is unknown, so intervals treat the "
            f"{unit}s as independent and are too narrow if patients have several"
        )
    if images.get("unsure"):
        warnings.append(
            f"{images['unsure']:,} of {images['count']:,} labelled {unit}s are unsure; only the figures of the covered "
            "leave them out, all others count the decision by the threshold"
        )
    few = [f"{n} {label}" for label, n in images["patients_by_label"].items() if 0 < n < _FEW_PATIENTS]
    if few and not unknown:
        warnings.append(
            f"few patients ({', '.join(few)}): a single atypical patient moves every figure, whatever the interval"
        )
    return warnings


def _excluded(labelled: Labelled) -> list[str]:
    """Warnings about labelled rows that no figure includes."""
    warnings = []
    if labelled.failed_labelled:
        warnings.append(f"{labelled.failed_labelled:,} of the files that failed have a label; no figure includes them")
    if labelled.unusable:
        warnings.append(f"{labelled.unusable:,} labelled rows have no usable prediction; no figure includes them")
    if labelled.unknown_labels:
        names = ", ".join(f"{name!r} ({n:,})" for name, n in sorted(labelled.unknown_labels.items())[:5])
        warnings.append(f"some labels are not classes of the model; no figure includes them: {names}")
    return warnings
