"""Metrics of a predictions table, and the JSON file that holds them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from cancernet_cli.core.figures import plain
from cancernet_cli.core.files import write_bytes
from cancernet_cli.core.records import Kind
from cancernet_cli.engine.evaluate.labelled import Labelled, kinds_in, read_labelled
from cancernet_cli.engine.evaluate.training_images import set_apart
from cancernet_cli.metrics.groups import grouped_metrics
from cancernet_cli.metrics.resampling import Resampling

SCHEMA = 1
_FEW_PATIENTS = 10  # of a class; with fewer, the percentile bootstrap itself is too narrow
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
        seen_patients: patients whose images the model was trained on. If the table has some, or training images
            (column `seen_in_training`), `training_overlap` holds a warning, `trained_on` the same figures of these
            rows, and all other figures are without them; unless there are no others.
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
    apart = set_apart(labelled.scores, labelled.seen, seen_patients, seen_note, unit=unit)
    scores = apart.tested
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
    found["training_overlap"] = apart.overlap
    if apart.trained is not None:
        found["trained_on"] = plain(grouped_metrics(apart.trained, threshold=threshold, resampling=resampling))
    found["warnings"] = [*_warnings(found), *_excluded(labelled)]
    return found


def write_metrics(metrics: dict[str, Any], path: Path) -> None:
    """Write metrics as JSON, the same bytes for the same figures.

    Raises:
        OutputError: the file cannot be written.
    """
    write_bytes(path, (json.dumps(metrics, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


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
