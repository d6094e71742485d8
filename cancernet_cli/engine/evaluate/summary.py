"""Metrics of a finished predictions table, and the file they go to."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cancernet_cli.core.arrays import Bools
from cancernet_cli.core.cards import Card
from cancernet_cli.core.files import write_bytes
from cancernet_cli.core.records import Kind
from cancernet_cli.engine.evaluate.count import TableCount, count_table
from cancernet_cli.engine.evaluate.table_kinds import kinds_in, only
from cancernet_cli.metrics.groups import grouped_metrics
from cancernet_cli.metrics.intervals import Resampling
from cancernet_cli.metrics.scores import Scores

SCHEMA = 1
_FEW_PATIENTS = 10  # of a class: with fewer, the percentile bootstrap itself comes out too narrow
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
    """Every figure of a predictions table, ready for JSON; None when no row that is ok has a label.

    The table is streamed, so memory does not grow with it. Decisions are the table's own `label` column. Figures stand
    under `images`, `by_magnification` and `by_patient`, each as `{value, count, low?, high?, reason?}`. They are of
    images; of slides where no image has a label, as `unit` says. Where both have, `whole_slides` holds those of slides.

    Args:
        positive: of two classes, the one that precision, recall, AUROC and the like are about.
        seen_patients: patients whose images the model was trained on. When the table has some, `training_overlap`
            holds a warning, and `unseen` the same figures for all other rows (None when there are none).
        seen_note: where that is known from, for example the card's name.

    Raises:
        InputError: it is no Parquet file, or lacks a column of a predictions table.
    """
    ordered = in_order(classes, positive)
    counts = {kind: count_table(table, ordered, only(kind)) for kind in kinds_in(table)}
    found = [
        figures_of(count, seen_patients=seen_patients, seen_note=seen_note, unit=kind)
        for kind, count in counts.items()
        if count.labelled
    ]
    if not found:
        return None
    return found[0] | ({"whole_slides": found[1]} if len(found) > 1 else {})


def in_order(classes: Sequence[str], positive: str) -> list[str]:
    """The classes as figures want them: of two, the positive one last."""
    return sorted(classes, key=lambda name: name == positive) if len(classes) == 2 else list(classes)


def figures_of(
    count: TableCount,
    *,
    seen_patients: Collection[str] = (),
    seen_note: str = "",
    threshold: float | None = None,
    resampling: Resampling = _DEFAULT,
    unit: Kind = "image",
) -> dict[str, Any]:
    """What `summarise` gives of one kind of files, counted already, with a labelled row.

    Args:
        unit: what the rows are.
        threshold: decides on a slide's mean probability; None takes the table's own where it has one.
    """
    classes, scores = list(count.tally.classes), count.tally.scores()
    thresholds = sorted(count.thresholds)
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
        "exact": not scores.step,
        "probability_step": scores.step,
        "failed": count.failed,
        "failed_labelled": count.failed_labelled,
        "unlabelled": count.unlabelled,
        "unusable": count.unusable,
        "unknown_labels": count.unknown_labels,
        **grouped_metrics(scores, threshold=threshold, resampling=resampling),
    }
    overlap = training_overlap(scores, frozenset(seen_patients), seen_note, unit=unit)
    found["training_overlap"] = overlap
    if overlap["images"]:
        others = scores.where(~of_patients(scores, seen_patients))
        apart = grouped_metrics(others, threshold=threshold, resampling=resampling) if others.n_images else None
        found["unseen"] = apart
    found["warnings"] = [*_warnings(found), *_count_warnings(count)]
    return found


def write_metrics(metrics: dict[str, Any], path: Path) -> None:
    """Write metrics as JSON, the same bytes for the same figures.

    Raises:
        OutputError: the file cannot be written.
    """
    write_bytes(path, (json.dumps(metrics, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


def seen_patients(card: Card) -> set[str]:
    """Patients whose images decided the weights: those of every split but a held-out test."""
    return {p for split, patients in card.training.splits.items() if not split.startswith("test") for p in patients}


def of_patients(scores: Scores, names: Collection[str]) -> Bools:
    """Which entries are of these patients, `[N]`."""
    chosen = frozenset(names)
    is_chosen = np.array([*(name in chosen for name in scores.patient_names), False])  # the last is for patient -1
    return np.asarray(is_chosen[scores.patients])


def training_overlap(scores: Scores, seen: Collection[str], note: str = "", *, unit: Kind = "image") -> dict[str, Any]:
    """How many of the images are of patients that the model knows; with a warning and their names if some are."""
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
    """What a reader has to know before believing the figures, one sentence each."""
    images, unit, says = found["images"], found["unit"], []
    if found["training_overlap"]["images"]:
        says.append(found["training_overlap"]["warning"])
    unknown = images["images_without_patient"]
    if unknown:
        says.append(
            f"the patient of {unknown:,} of {images['count']:,} labelled {unit}s is unknown, so intervals take the "
            f"{unit}s as independent and are too narrow when patients have several"
        )
    few = [f"{n} {label}" for label, n in images["patients_by_label"].items() if 0 < n < _FEW_PATIENTS]
    if few and not unknown:
        says.append(f"few patients ({', '.join(few)}): one odd patient moves every figure, whatever the interval says")
    if not found["exact"]:
        step = found["probability_step"]
        says.append(f"probabilities were rounded to {step:g} to bound memory; figures can be off by as much")
    return says


def _count_warnings(count: TableCount) -> list[str]:
    """Which labelled rows the figures leave out."""
    says = []
    if count.failed_labelled:
        says.append(f"{count.failed_labelled:,} of the files that failed have a label; they count in no figure")
    if count.unusable:
        says.append(f"labelled rows without a usable prediction: {count.unusable:,}; they count in no figure")
    if count.unknown_labels:
        names = ", ".join(f"{name!r} ({n:,})" for name, n in sorted(count.unknown_labels.items())[:5])
        says.append(f"some labels are none of the model's classes and count in no figure: {names}")
    return says
