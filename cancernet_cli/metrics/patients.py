"""Figures that count each patient once, from labelled predictions (`Scores`)."""

from __future__ import annotations

import numpy as np

from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.core.figures import Figure
from cancernet_cli.metrics.numbering import renumbered
from cancernet_cli.metrics.resampling import Design, resampled_by
from cancernet_cli.metrics.scores import Scores


class RateResampler:
    """Recognition rate as a function of the weights of the patients."""

    width = 1

    def __init__(self, design: Design, scores: Scores) -> None:
        self._shares = np.bincount(design.units, scores.counts * scores.right) / np.bincount(
            design.units, scores.counts
        )

    def __call__(self, weights: F64) -> F64:
        """`[R, patients]` to `[R]`."""
        return np.asarray(weights @ self._shares / weights.sum(axis=1))


@resampled_by(RateResampler)
def recognition_rate(scores: Scores) -> Figure:
    """Mean over patients of the share of their images that are right (Spanhol et al., IEEE TBME 63(7):1455, 2016)."""
    shares = shares_right(scores)
    value = float(shares.mean()) if len(shares) else None
    return Figure.of(value, len(shares), "the patients of the images are unknown")


def shares_right(scores: Scores) -> F64:
    """Share of correctly classified images of each known patient, in the order of their numbers: `[patients]`."""
    known = scores.where(scores.patients >= 0)
    at = renumbered(known.patients)
    return np.asarray(np.bincount(at, known.counts * known.right) / np.bincount(at, known.counts))


def mean_of_patients(scores: Scores) -> Scores:
    """One entry for each known patient whose images have one label: the mean probabilities of the images."""
    known = scores.where(scores.patients >= 0)
    patients = pooled(known, known.patients)
    same = patients.where(patients.labels >= 0)
    return Scores.of(same.labels, same.probs, classes=same.classes, patients=same.patients)


def pooled(known: Scores, key: I64) -> Scores:
    """One entry for each distinct `key`, `[N]`: mean probabilities; the label, or -1 for several."""
    values, at = np.unique(key, return_inverse=True)
    at = at.reshape(-1)
    n, k = len(values), len(known.classes)
    first = np.empty(n, np.int64)
    first[at[::-1]] = np.arange(len(at))[::-1]  # the last one written is the first entry
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
        patients=known.patients[first],
        magnifications=np.full(n, np.nan),
        slides=known.slides[first],
        unsure=np.zeros(n, np.bool_),
        patient_names=known.patient_names,
    )
