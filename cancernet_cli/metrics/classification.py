"""The field's figures for classifiers, each with its count, and without numbers where there are none.

scikit-learn computes them, with the images an entry stands for as `sample_weight`. Two classes: precision, recall
(sensitivity), F1, specificity and AUPRC are the positive class's. More: the mean over the classes that have images
(macro), AUROC and AUPRC of one class against the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
)

from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.metrics.calibration import BINS, expected_calibration_error
from cancernet_cli.metrics.scores import Scores

Figure = dict[str, Any]

ONE_CLASS = "only one class among the true labels"


def figure(value: float | None, count: int, reason: str = "", **more: Any) -> Figure:
    """A figure with the number of images (or patients) behind it; no value, then a reason."""
    known = value is not None and bool(np.isfinite(value))
    found: Figure = {"value": float(value) if known and value is not None else None, "count": int(count), **more}
    return found if known else {**found, "reason": reason or "undefined"}


def classification_metrics(scores: Scores) -> dict[str, Any]:
    """Every figure of a set of images: name to `{value, count, reason?}`, and the confusion matrix."""
    n = scores.n_images
    if not n:
        return {"count": 0}
    return {
        "count": n,
        "labels": {name: int(scores.counts[scores.labels == k].sum()) for k, name in enumerate(scores.classes)},
        **decision_metrics(scores),
        "auroc": auroc(scores),
        "auprc": auprc(scores),
        "log_loss": figure(float(np.average(scores.log_losses, weights=scores.counts)), n),
        "brier": figure(brier(scores), n),
        "ece": figure(expected_calibration_error(scores.labels, scores.probs, scores.counts), n, bins=BINS),
        "confusion": confusion(scores),
    }


def decision_metrics(scores: Scores) -> dict[str, Figure]:
    """Accuracy, precision, recall, F1 and specificity of the decisions."""
    k = np.arange(len(scores.classes))
    columns = {"y_true": scores.labels, "y_pred": scores.predicted, "sample_weight": scores.counts}
    precision, recall, f1, _ = precision_recall_fscore_support(**columns, labels=k, average=None, zero_division=np.nan)
    matrix = confusion_matrix(**columns, labels=k)
    true, predicted, n = matrix.sum(axis=1), matrix.sum(axis=0), int(matrix.sum())
    negatives = n - true
    kept = negatives - (predicted - np.diag(matrix))  # true negatives of each class
    specificity = np.divide(kept, negatives, out=np.full(len(k), np.nan), where=negatives > 0)
    accuracy = accuracy_score(scores.labels, scores.predicted, sample_weight=scores.counts)
    counted = {
        "precision": predicted,
        "recall": true,
        "f1": true + predicted - np.diag(matrix),
        "specificity": negatives,
    }
    values = {"precision": precision, "recall": recall, "f1": f1, "specificity": specificity}
    return {
        "accuracy": figure(accuracy, n),
        **{name: _of_classes(name, values[name], counted[name], true, scores.classes) for name in values},
    }


def confusion(scores: Scores) -> dict[str, Any]:
    """The confusion matrix, true classes in rows; with two classes also tn, fp, fn and tp."""
    k = np.arange(len(scores.classes))
    matrix = confusion_matrix(scores.labels, scores.predicted, labels=k, sample_weight=scores.counts).astype(int)
    found: dict[str, Any] = {"classes": list(scores.classes), "true_by_predicted": matrix.tolist()}
    if len(k) == 2:
        (tn, fp), (fn, tp) = matrix.tolist()
        found |= {"tn": tn, "fp": fp, "fn": fn, "tp": tp}
    return found


def auroc(scores: Scores) -> Figure:
    """Area under the ROC curve."""
    return _ranked(scores, roc_auc_score)


def auprc(scores: Scores) -> Figure:
    """Area under the precision-recall curve, as average precision."""
    return _ranked(scores, average_precision_score)


def brier(scores: Scores) -> float:
    """Brier score: of the positive class when there are two (0 to 1), summed over classes when more (0 to 2)."""
    if len(scores.classes) == 2:
        return float(
            brier_score_loss(
                scores.labels == 1, scores.probs[:, 1].clip(0, 1), sample_weight=scores.counts, pos_label=True
            )
        )
    truth = np.eye(len(scores.classes))[scores.labels]
    return float(np.average(((scores.probs - truth) ** 2).sum(axis=1), weights=scores.counts))


def _ranked(scores: Scores, measure: Any) -> Figure:
    """A threshold-free figure of the positive class, or its mean over the classes that have images."""
    present = np.unique(scores.labels)
    if len(present) < 2:
        return figure(None, scores.n_images, ONE_CLASS)
    of = [1] if len(scores.classes) == 2 else present.tolist()
    each = [measure(scores.labels == k, scores.probs[:, k], sample_weight=scores.counts) for k in of]
    return figure(float(np.mean(each)), scores.n_images)


def _of_classes(name: str, values: F64, counts: I64, true: I64, classes: tuple[str, ...]) -> Figure:
    """The positive class's value, or the mean over the classes that have images; undefined if one of them is."""
    of = [1] if len(classes) == 2 else np.flatnonzero(true).tolist()
    lacking = [classes[k] for k in of if not np.isfinite(values[k])]
    reason = {
        "precision": "no image was called {}",
        "recall": "no image is {}",
        "f1": "no image is or was called {}",
        "specificity": "no image is anything but {}",
    }[name].format(" or ".join(lacking))
    count = counts[1] if len(classes) == 2 else true.sum()
    return figure(None if lacking else float(np.mean(values[of])), int(count), reason)
