"""What a cell's out-of-fold logits say, on folds by patient and on folds that leak."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit

from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages
from cancernet_cli.metrics.groups import image_metrics, patient_metrics
from cancernet_cli.metrics.probabilities import softmax
from cancernet_cli.metrics.scores import Scores

OF_IMAGES = ("precision", "recall", "specificity", "f1", "accuracy", "log_loss", "auroc", "auprc", "brier", "ece")
OF_PATIENTS = ("auroc", "recognition_rate")
RANKED = ("auroc", "auprc")
# Probabilities tell logits apart up to about 36; a hundred thousand features that nothing holds back give far larger
# ones, whose order would be lost.
STEEPEST = 30.0


def scored_folds(images: LabelledImages) -> I64:
    """The fold of each image, `[N]`; with a single split 0 for what tests, and -1 for what is only learned from."""
    return images.folds if images.splits is None else np.where(images.splits == "test", 0, -1)


def leaking_folds(images: LabelledImages, seed: int) -> I64:
    """As `scored_folds`, with as many folds and as large a test, but split by image: every patient on both sides."""
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
    """Figures of the images that have logits, and the confusion matrix; the label is the more probable class.

    AUROC and accuracy have an interval over patients.

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
    ranked = image_metrics(replace(scores, probs=softmax(_gentler(logits))))
    return {
        "count": int(found["count"]),
        **{name: ranked[name] if name in RANKED else found[name] for name in OF_IMAGES},
        "patients": {name: by_patient[name] for name in OF_PATIENTS} | {"count": by_patient["count"]},
        "confusion": found["confusion"],
    }


def _gentler(logits: F64) -> F64:
    """Logits in the same order of images whose probabilities differ; of more than two classes as they are."""
    if logits.shape[1] != 2:
        return logits
    steepest = float(np.abs(np.diff(logits, axis=1)).max(initial=0))
    return logits / max(1.0, steepest / STEEPEST)
