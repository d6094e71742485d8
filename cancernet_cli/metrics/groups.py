"""Figures of all images, of each magnification, of slides and of patients, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cancernet_cli.core.arrays import F64, Bools
from cancernet_cli.core.figures import Figure, figures_in
from cancernet_cli.metrics.calibration import reliability_table
from cancernet_cli.metrics.intervals import measure_all, measure_divisions
from cancernet_cli.metrics.measure import confusion
from cancernet_cli.metrics.numbering import distinct
from cancernet_cli.metrics.patients import mean_of_patients, pooled, shares_right
from cancernet_cli.metrics.resampling import Resampling
from cancernet_cli.metrics.scores import Scores

WORST_PATIENTS = 1_000
MOST_MAGNIFICATIONS = 50
_DEFAULT = Resampling()


def grouped_metrics(
    scores: Scores, *, threshold: float | None = 0.5, resampling: Resampling = _DEFAULT
) -> dict[str, Any]:
    """`images`, `by_magnification`, `by_slide` and `by_patient`, each with `Figure`s by name and plain counts.

    Args:
        threshold: two classes only: decides on a slide's mean probability; None if there are several.
    """
    return {
        "images": {
            **image_metrics(scores, resampling),
            "reliability": reliability_table(scores.labels, scores.probs, scores.counts),
        },
        "by_magnification": by_magnification(scores, resampling),
        "by_slide": slide_metrics(scores, threshold, resampling),
        "by_patient": patient_metrics(scores, resampling),
    }


def image_metrics(scores: Scores, resampling: Resampling = _DEFAULT) -> dict[str, Any]:
    """Every figure of a set of images, the confusion matrix, and how many images and patients are behind them.

    Case-weighted figures are omitted if no patient is known.
    """
    if not scores.n_images:
        return {"count": 0}
    return {**_image_figures([scores], resampling), "confusion": confusion(scores)}


def repeated_metrics(divisions: Sequence[Scores], resampling: Resampling = _DEFAULT) -> dict[str, Any]:
    """Means over divisions into folds, each figure with its value in each division (`Figure.each`).

    Args:
        divisions: predictions on the same images in the same order, by models of different divisions.

    Returns:
        `count` of divisions; `images`, `by_magnification` and `by_patient` as in `grouped_metrics`, without
        confusion matrices and lists.
    """
    return {
        "count": len(divisions),
        "images": _image_figures(divisions, resampling),
        "by_magnification": {
            name: _image_figures([scores.where(rows) for scores in divisions], resampling)
            for name, rows in _magnification_rows(divisions[0]).items()
        },
        "by_patient": _patient_figures(divisions, resampling),
    }


def _image_figures(divisions: Sequence[Scores], resampling: Resampling) -> dict[str, Any]:
    """Figures of images, or their means over divisions, and how many images and patients are behind them."""
    scores = divisions[0]
    known = scores.patients >= 0
    of_class = [scores.labels == k for k in range(len(scores.classes))]
    unsure = int(scores.counts[scores.unsure].sum())
    specs = [
        spec
        for spec in figures_in("images")
        if (spec.weighting == "images" or known.any()) and (unsure or spec.measured_from != "abstention")
    ]
    return {
        "count": scores.n_images,
        "labels": {name: int(scores.counts[rows].sum()) for name, rows in zip(scores.classes, of_class, strict=True)},
        **({"unsure": unsure} if unsure else {}),
        **measure_divisions(specs, divisions, resampling),
        "patients": len(distinct(scores.patients[known])),
        "patients_by_label": {
            name: len(distinct(scores.patients[known & rows]))
            for name, rows in zip(scores.classes, of_class, strict=True)
        },
        "images_without_patient": int(scores.counts[~known].sum()),
    }


def by_magnification(scores: Scores, resampling: Resampling = _DEFAULT) -> dict[str, Any]:
    """`image_metrics` for each magnification, as "40", "100", ..., and "unknown" last; the 50 most frequent at most."""
    return {name: image_metrics(scores.where(rows), resampling) for name, rows in _magnification_rows(scores).items()}


def _magnification_rows(scores: Scores) -> dict[str, Bools]:
    """The entries of each magnification, `[N]` bool."""
    values, at = np.unique(scores.magnifications, return_inverse=True)  # NaN comes last, once
    counts = np.bincount(at.reshape(-1), scores.counts, len(values))
    most = np.sort(np.argsort(-counts, kind="stable")[:MOST_MAGNIFICATIONS])
    return {"unknown" if np.isnan(values[i]) else f"{values[i]:g}": at.reshape(-1) == i for i in most.tolist()}


def slide_metrics(scores: Scores, threshold: float | None = 0.5, resampling: Resampling = _DEFAULT) -> dict[str, Any]:
    """Figures that count a slide once, over the known slides whose images have one label.

    A slide's probabilities are the means over its images. Of two classes the positive one is predicted at or
    above `threshold`, of more the most probable. Intervals resample patients.
    """
    without = int(scores.counts[scores.slides < 0].sum())
    known = scores.where(scores.slides >= 0)
    if not known.n_images:
        return {"count": 0, "images_without_slide": without, "reason": "the slides of the images are unknown"}
    slides = pooled(known, known.patients.astype(np.int64) * (int(known.slides.max()) + 1) + known.slides)
    same = slides.where(slides.labels >= 0)
    if not same.n_images:
        return {
            "count": 0,
            "images": known.n_images,
            "images_without_slide": without,
            "several_labels": len(slides.labels),
            "reason": "the images of every slide have several labels",
        }
    once = Scores.of(
        same.labels,
        same.probs,
        classes=same.classes,
        threshold=0.5 if threshold is None else threshold,
        patients=same.patients,
    )
    figures = measure_all(figures_in("slides"), once, resampling)
    for name, figure in figures.items():
        if figure.interval is not None:  # its unit is a slide where patients are unknown
            unit = figure.interval.unit.replace("image", "slide")
            figures[name] = replace(figure, interval=replace(figure.interval, unit=unit))
    if threshold is None and len(scores.classes) == 2:
        several = Figure.of(None, once.n_images, "the table has several decision thresholds")
        figures |= {spec.name: several for spec in figures_in("slides") if spec.measured_from == "decisions"}
    return {
        "count": once.n_images,
        "images": known.n_images,
        "images_without_slide": without,
        "several_labels": len(slides.labels) - once.n_images,
        **figures,
    }


def patient_metrics(scores: Scores, resampling: Resampling = _DEFAULT) -> dict[str, Any]:
    """Figures that count a patient once, over the patients that are known.

    The recognition rate is the mean over patients of the share of their images that are right. Other figures take each
    patient's mean probabilities, and omit patients whose images have several labels.
    """
    without = int(scores.counts[scores.patients < 0].sum())
    known = scores.where(scores.patients >= 0)
    if not known.n_images:
        return {"count": 0, "images_without_patient": without}
    patients, shares = pooled(known, known.patients), shares_right(known)
    return {
        **_patient_figures([scores], resampling),
        "images": known.n_images,
        "images_without_patient": without,
        "several_labels": int((patients.labels < 0).sum()),
        "patients_listed": min(len(shares), WORST_PATIENTS),
        "patients": _worst(patients, shares),
    }


def _patient_figures(divisions: Sequence[Scores], resampling: Resampling) -> dict[str, Any]:
    """Figures of the known patients, or their means over divisions."""
    known = [scores.where(scores.patients >= 0) for scores in divisions]
    count = len(distinct(known[0].patients))
    if not count:
        return {"count": 0}
    rates = [spec for spec in figures_in("patients") if spec.measured_from == "patients"]
    others = [spec for spec in figures_in("patients") if spec.measured_from != "patients"]
    return {
        "count": count,
        **measure_divisions(rates, known, resampling),
        **measure_divisions(others, [mean_of_patients(scores) for scores in known], resampling),
    }


def _worst(patients: Scores, shares: F64) -> list[dict[str, Any]]:
    """Patients by ascending share of right images; among equals those with more images first, then by name."""
    names = [patients.patient_names[i] if patients.patient_names else str(i) for i in patients.patients.tolist()]
    order = sorted(range(len(names)), key=lambda i: (shares[i], -patients.counts[i], names[i]))
    rights = np.rint(shares * patients.counts).astype(int)
    column = 1 if len(patients.classes) == 2 else None
    return [
        {
            "patient": names[i],
            "label": patients.classes[patients.labels[i]] if patients.labels[i] >= 0 else None,
            "count": int(patients.counts[i]),
            "right": int(rights[i]),
            "score": float(shares[i]),
            "mean_prob": float(patients.probs[i, 1])
            if column
            else {name: float(p) for name, p in zip(patients.classes, patients.probs[i], strict=True)},
        }
        for i in order[:WORST_PATIENTS]
    ]
