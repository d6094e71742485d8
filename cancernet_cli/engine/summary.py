"""Metrics of a finished predictions table, and the file they go to."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cancernet_cli.engine.tallying import TableCount, count_table
from cancernet_cli.metrics.groups import grouped_metrics
from cancernet_cli.metrics.scores import Scores
from cancernet_cli.outputs.atomic import write_bytes

SCHEMA = 1
_FEW_PATIENTS = 10  # of a class: with fewer, the percentile bootstrap itself comes out too narrow
_LISTED = 100


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
    under `images`, `by_magnification` and `by_patient`, each as `{value, count, low?, high?, reason?}`.

    Args:
        positive: of two classes, the one that precision, recall, AUROC and the like are about.
        seen_patients: patients whose images the model was trained on. When the table has some, `training_overlap`
            holds a warning, and `unseen` the same figures for all other rows (None when there are none).
        seen_note: where that is known from, for example the card's name.

    Raises:
        InputError: it is no Parquet file, or lacks a column of a predictions table.
    """
    ordered = sorted(classes, key=lambda name: name == positive) if len(classes) == 2 else list(classes)
    count = count_table(table, ordered)
    if not count.labelled:
        return None
    scores = count.tally.scores()
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "decision": {
            "classes": ordered,
            "positive": ordered[1] if len(ordered) == 2 else None,
            "thresholds": sorted(count.thresholds),
        },
        "exact": not scores.step,
        "probability_step": scores.step,
        "failed": count.failed,
        "failed_labelled": count.failed_labelled,
        "unlabelled": count.unlabelled,
        "unusable": count.unusable,
        "unknown_labels": count.unknown_labels,
        **grouped_metrics(scores),
        **_training_overlap(scores, frozenset(seen_patients), seen_note),
    }
    found["warnings"] = [*_warnings(found), *_count_warnings(count)]
    return found


def write_metrics(metrics: dict[str, Any], path: Path) -> None:
    """Write metrics as JSON, the same bytes for the same figures.

    Raises:
        OutputError: the file cannot be written.
    """
    write_bytes(path, (json.dumps(metrics, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


def _training_overlap(scores: Scores, seen: frozenset[str], note: str) -> dict[str, Any]:
    """How many of the images are of patients that the model knows, and the figures without them."""
    is_seen = np.array([*(name in seen for name in scores.patient_names), False])  # the last is for patient -1
    rows = is_seen[scores.patients]
    images, patients = int(scores.counts[rows].sum()), int(is_seen.sum())
    overlap: dict[str, Any] = {"images": images, "patients": patients, "note": note}
    if not images:
        return {"training_overlap": overlap}
    overlap["patient_names"] = sorted(name for name in scores.patient_names if name in seen)[:_LISTED]
    overlap["warning"] = (
        f"{images:,} of {scores.n_images:,} labelled images are of {_patients(patients)} whose images the model was "
        f"trained on{f' ({note})' if note else ''}, so the overall figures are not a test of the model"
    )
    return {"training_overlap": overlap, "unseen": None if rows.all() else grouped_metrics(scores.where(~rows))}


def _patients(n: int) -> str:
    return f"{n:,} patient" if n == 1 else f"{n:,} patients"


def _warnings(found: dict[str, Any]) -> list[str]:
    """What a reader has to know before believing the figures, one sentence each."""
    images, says = found["images"], []
    if found["training_overlap"]["images"]:
        says.append(found["training_overlap"]["warning"])
    unknown = images["images_without_patient"]
    if unknown:
        says.append(
            f"the patient of {unknown:,} of {images['count']:,} labelled images is unknown, so intervals take the "
            "images as independent and are too narrow when patients have several"
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
