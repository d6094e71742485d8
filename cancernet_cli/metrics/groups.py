"""Figures for all images, for each magnification, for slides and for patients, with intervals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.metrics.calibration import reliability_table
from cancernet_cli.metrics.classification import auroc, classification_metrics, decision_metrics, figure
from cancernet_cli.metrics.intervals import Interval, Resampling, clustered_bootstrap
from cancernet_cli.metrics.scores import Scores

WORST_PATIENTS = 1_000
MOST_MAGNIFICATIONS = 50


_DEFAULT = Resampling()


def grouped_metrics(
    scores: Scores, *, threshold: float | None = 0.5, resampling: Resampling = _DEFAULT
) -> dict[str, Any]:
    """`images`, `by_magnification`, `by_slide` and `by_patient`, as JSON has them.

    Args:
        threshold: two classes only: decides on a slide's mean probability; None where there are several.
    """
    return {
        "images": {**image_metrics(scores, resampling), "reliability": reliability(scores)},
        "by_magnification": by_magnification(scores, resampling),
        "by_slide": slide_metrics(scores, threshold, resampling),
        "by_patient": patient_metrics(scores, resampling),
    }


def image_metrics(scores: Scores, resampling: Resampling = _DEFAULT) -> dict[str, Any]:
    """Every figure of a set of images; AUROC and accuracy with an interval over patients."""
    found = classification_metrics(scores)
    if not scores.n_images:
        return found
    known = scores.patients >= 0
    found["patients"] = len(np.unique(scores.patients[known]))
    found["patients_by_label"] = {
        name: len(np.unique(scores.patients[known & (scores.labels == k)])) for k, name in enumerate(scores.classes)
    }
    found["images_without_patient"] = int(scores.counts[~known].sum())
    drawn = _bootstrap(scores, resampling, "auroc", "accuracy")
    for name in ("auroc", "accuracy"):
        found[name] |= interval_entries(drawn[name])
    return found


def by_magnification(scores: Scores, resampling: Resampling = _DEFAULT) -> dict[str, Any]:
    """`image_metrics` for each magnification, as "40", "100", ..., and "unknown" last; the 50 most frequent at most."""
    values, at = np.unique(scores.magnifications, return_inverse=True)  # NaN comes last, once
    counts = np.bincount(at.reshape(-1), scores.counts, len(values))
    most = np.sort(np.argsort(-counts, kind="stable")[:MOST_MAGNIFICATIONS])
    return {
        "unknown" if np.isnan(values[i]) else f"{values[i]:g}": image_metrics(
            scores.where(at.reshape(-1) == i), resampling
        )
        for i in most.tolist()
    }


def slide_metrics(scores: Scores, threshold: float | None = 0.5, resampling: Resampling = _DEFAULT) -> dict[str, Any]:
    """Figures that count a slide once, over the slides that are known and whose images have one label.

    A slide's probabilities are the means over its images. Of two classes the positive one is called at or above
    `threshold`, of more the most probable. Intervals resample patients.
    """
    without = int(scores.counts[scores.slides < 0].sum())
    known = scores.where(scores.slides >= 0)
    if not known.n_images:
        return {"count": 0, "images_without_slide": without, "reason": "no image names its slide"}
    slides = _pooled(known, np.column_stack([known.patients, known.slides]))
    alike = slides.where(slides.labels >= 0)
    n = len(alike.labels)
    once = Scores.of(
        alike.labels,
        alike.probs,
        classes=alike.classes,
        threshold=0.5 if threshold is None else threshold,
        patients=alike.patients,
    )
    found: dict[str, Any] = {
        "count": n,
        "images": known.n_images,
        "images_without_slide": without,
        "several_labels": len(slides.labels) - n,
        "auroc": auroc(once),
    }
    if not n:
        return found
    drawn = _bootstrap(once, resampling, "auroc", "accuracy")
    drawn = {name: replace(i, unit=i.unit.replace("image", "slide")) for name, i in drawn.items()}
    found["auroc"] |= interval_entries(drawn["auroc"])
    if threshold is None and len(scores.classes) == 2:
        several = "the table has several decision thresholds"
        return {**found, **{name: figure(None, n, several) for name in ("accuracy", "recall", "specificity")}}
    decided = decision_metrics(once)
    decided["accuracy"] |= interval_entries(drawn["accuracy"])
    return {**found, **{name: decided[name] for name in ("accuracy", "recall", "specificity")}}


def patient_metrics(scores: Scores, resampling: Resampling = _DEFAULT) -> dict[str, Any]:
    """Figures that count a patient once, over the patients that are known.

    A patient's score is the share of his images that are right; their mean over patients is the recognition rate of
    Spanhol et al., IEEE TBME 63(7):1455, 2016. AUROC takes each patient's mean probabilities, and leaves out patients
    whose images have several labels.
    """
    without = int(scores.counts[scores.patients < 0].sum())
    known = scores.where(scores.patients >= 0)
    if not known.n_images:
        return {"count": 0, "images_without_patient": without}
    patients = _pooled(known, known.patients)
    shares = shares_right(known)
    n = len(shares)
    drawn = _bootstrap(known, resampling, "recognition_rate")["recognition_rate"]
    once = mean_of_patients(known)
    return {
        "count": n,
        "images": known.n_images,
        "images_without_patient": without,
        "several_labels": int((patients.labels < 0).sum()),
        "recognition_rate": {**figure(float(shares.mean()), n), **interval_entries(drawn)},
        "auroc": {**auroc(once), **interval_entries(_bootstrap(once, resampling, "auroc")["auroc"])},
        "patients_listed": min(n, WORST_PATIENTS),
        "patients": _worst(patients, shares),
    }


def shares_right(scores: Scores) -> F64:
    """The share of right images of each known patient, by number; their mean is the recognition rate."""
    known = scores.where(scores.patients >= 0)
    at = np.unique(known.patients, return_inverse=True)[1].reshape(-1)
    return np.asarray(np.bincount(at, known.counts * known.right) / np.bincount(at, known.counts))


def mean_of_patients(scores: Scores) -> Scores:
    """One entry for each known patient whose images have one label: the mean probabilities of his images."""
    known = scores.where(scores.patients >= 0)
    patients = _pooled(known, known.patients)
    alike = patients.where(patients.labels >= 0)
    return Scores.of(alike.labels, alike.probs, classes=alike.classes, patients=alike.patients)


def reliability(scores: Scores) -> list[dict[str, float]]:
    """The bins of the reliability diagram, as JSON has them."""
    return [
        {"low": b.low, "high": b.high, "count": int(b.count), "confidence": b.confidence, "accuracy": b.accuracy}
        for b in reliability_table(scores.labels, scores.probs, scores.counts)
    ]


def interval_entries(interval: Interval) -> dict[str, Any]:
    """An interval, as JSON has it, to stand beside a figure's value."""
    found = {
        "low": interval.low,
        "high": interval.high,
        "interval_unit": interval.unit,
        "interval_units": interval.units,
        "resamples": interval.resamples,
    }
    return {**found, "interval_reason": interval.reason} if interval.reason else found


def _bootstrap(scores: Scores, resampling: Resampling, *figures: str) -> dict[str, Interval]:
    return clustered_bootstrap(
        scores.labels,
        scores.probs,
        scores.right,
        scores.patients,
        scores.counts,
        figures=figures,
        resamples=resampling.resamples,
        seed=resampling.seed,
    )


def _pooled(known: Scores, key: I64) -> Scores:
    """One entry for each distinct row of `key`, `[N]` or `[N, 2]`: mean probabilities; the label, or -1 for several."""
    _, first, at = np.unique(key, axis=0, return_index=True, return_inverse=True)
    at = at.reshape(-1)
    n, k = len(first), len(known.classes)
    counts = np.bincount(at, known.counts, n)
    has = np.bincount(at * k + known.labels, minlength=n * k).reshape(n, k) > 0
    probs = np.column_stack([np.bincount(at, known.counts * known.probs[:, c], n) / counts for c in range(k)])
    labels = np.where(has.sum(axis=1) == 1, has.argmax(axis=1), -1)
    return Scores(
        classes=known.classes,
        labels=labels,
        predicted=labels,
        probs=probs.reshape(n, k),
        counts=counts.astype(np.int64),
        log_losses=np.zeros(n),
        patients=known.patients[first],
        magnifications=np.full(n, np.nan),
        slides=known.slides[first],
        patient_names=known.patient_names,
    )


def _worst(patients: Scores, shares: F64) -> list[dict[str, Any]]:
    """The patients with the lowest score first; among equals those with more images, then by name."""
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
