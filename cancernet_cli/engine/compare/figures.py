"""Figures of a cell's out-of-fold logits, on folds by patient and on folds that leak."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit

from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.core.figures import figures_in, plain
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages
from cancernet_cli.metrics.groups import image_metrics, patient_metrics
from cancernet_cli.metrics.intervals import measure_all
from cancernet_cli.metrics.resampling import Resampling
from cancernet_cli.metrics.scores import Scores, softmax

_RANKED = ("auroc", "auprc")
# Probabilities distinguish logits up to about 36; a classifier with a hundred thousand unregularized features gives far
# larger ones, whose order would be lost.
_MAX_LOGIT_DIFFERENCE = 30.0


def scored_folds(images: LabelledImages) -> I64:
    """The test fold of each image, `[N]`; with a single split 0 for test images and -1 for all others."""
    return images.folds if images.splits is None else np.where(images.splits == "test", 0, -1)


def leaking_folds(images: LabelledImages, seed: int) -> I64:
    """As `scored_folds`, of the same number and size, but split by image, so that patients are on both sides."""
    labels, folds = images.labels, scored_folds(images)
    count = len(np.unique(folds))
    found = np.full(len(labels), -1)
    if (folds < 0).any():
        splitter = StratifiedShuffleSplit(1, test_size=int((folds >= 0).sum()), random_state=seed)
        found[next(splitter.split(labels, labels))[1]] = 0
        return found
    smallest = int(np.bincount(labels).min())
    splitter = StratifiedKFold(max(2, min(count, smallest)), shuffle=True, random_state=seed)
    for fold, (_, test) in enumerate(splitter.split(labels, labels)):
        found[test] = fold
    return found


def cell_figures(logits: F64, images: LabelledImages) -> dict[str, Any]:
    """Figures of the images with logits, as JSON, and the confusion matrix; the label is the most probable class.

    Args:
        logits: `[N, K]`; NaN in rows that are not scored.
    """
    scored = np.flatnonzero(np.isfinite(logits).all(axis=1))
    images, logits = images.only(scored), logits[scored]
    names, at = np.unique(images.patients, return_inverse=True)
    scores = Scores.of(
        images.labels,
        softmax(logits),
        classes=images.classes,
        predicted=logits.argmax(axis=1),
        patients=at,
        patient_names=names.tolist(),
        magnifications=images.magnifications,
    )
    found, by_patient = image_metrics(scores), patient_metrics(scores)
    ranked = [spec for spec in figures_in("images") if spec.name in _RANKED]
    found |= measure_all(ranked, replace(scores, probs=softmax(_rescaled(logits))), Resampling())
    figures: dict[str, Any] = plain(
        {
            "count": found["count"],
            **{spec.name: found[spec.name] for spec in figures_in("images") if spec.name in found},
            "patients": {
                **{spec.name: by_patient[spec.name] for spec in figures_in("patients")},
                "count": by_patient["count"],
            },
            "confusion": found["confusion"],
        }
    )
    return figures


def _rescaled(logits: F64) -> F64:
    """Two-class logits scaled down so that their probabilities stay distinct, in the same order of images."""
    if logits.shape[1] != 2:
        return logits
    largest = float(np.abs(np.diff(logits, axis=1)).max(initial=0))
    return logits / max(1.0, largest / _MAX_LOGIT_DIFFERENCE)
