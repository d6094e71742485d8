"""Figures of probabilities, from labelled predictions (`Scores`); scikit-learn computes most of them.

A function gives a value, or a whole `Figure`. With two classes AUROC and AUPRC are those of the positive class; with
more, the mean over the classes that have images, each against the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from cancernet_cli.core.arrays import F64
from cancernet_cli.core.figures import Figure
from cancernet_cli.metrics.calibration import BINS, expected_calibration_error
from cancernet_cli.metrics.ranks.auroc import AurocResampler
from cancernet_cli.metrics.ranks.ranking import area, average_precision
from cancernet_cli.metrics.resampling import resampled_by
from cancernet_cli.metrics.scores import Scores

ONE_CLASS = "only one class among the true labels"


@resampled_by(AurocResampler)
def auroc(scores: Scores) -> Figure:
    """Area under the ROC curve."""
    return _ranked(scores, roc_auc_score, area)


def auprc(scores: Scores) -> Figure:
    """Area under the precision-recall curve, as average precision."""
    return _ranked(scores, average_precision_score, average_precision)


def log_loss(scores: Scores) -> float:
    """Mean of -log(the true class's share of the probabilities), clipped as scikit-learn does for float64."""
    shares = scores.probs[np.arange(len(scores.labels)), scores.labels]
    shares = shares / np.maximum(scores.probs.sum(axis=1), np.finfo(np.float64).tiny)
    tiny = np.finfo(np.float64).eps
    return float(np.average(-np.log(np.clip(shares, tiny, 1 - tiny)), weights=scores.counts))


def brier(scores: Scores) -> float:
    """Brier score: of the positive class when there are two (0 to 1), summed over classes when more (0 to 2)."""
    if len(scores.classes) == 2:
        misses = scores.probs[:, 1].clip(0, 1) - (scores.labels == 1)
        return float(np.average(np.square(misses, out=misses), weights=scores.counts))
    truth = np.eye(len(scores.classes))[scores.labels]
    return float(np.average(((scores.probs - truth) ** 2).sum(axis=1), weights=scores.counts))


def ece(scores: Scores) -> Figure:
    """Expected calibration error (Naeini et al., AAAI 2015)."""
    error = expected_calibration_error(scores.labels, scores.probs, scores.counts)
    return Figure.of(error, scores.n_images, bins=BINS)


def _ranked(scores: Scores, measure: Callable[..., float], fast: Callable[[F64, F64], Any]) -> Figure:
    """A threshold-free figure of the positive class, or its mean over the classes that have images.

    Args:
        fast: the same from the weights at each distinct score, for very many images.
    """
    present = np.flatnonzero(np.bincount(scores.labels))
    if len(present) < 2:
        return Figure.of(None, scores.n_images, ONE_CLASS)
    of = [1] if len(scores.classes) == 2 else present.tolist()
    if scores.is_large:
        each = [float(fast(*scores.ranking(k).masses(scores.labels == k, scores.counts))) for k in of]
    else:
        each = [measure(scores.labels == k, scores.probs[:, k], sample_weight=scores.counts) for k in of]
    return Figure.of(float(np.mean(each)), scores.n_images)
