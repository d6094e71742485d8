"""Measure the figures that `core.figures` lists."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from cancernet_cli.core.arrays import F64
from cancernet_cli.core.figures import Figure, FigureSpec
from cancernet_cli.metrics.decisions import PerClass
from cancernet_cli.metrics.scores import Scores


def function_of(spec: FigureSpec) -> Callable[..., Any]:
    """The function that measures a figure."""
    function: Callable[..., Any] = getattr(
        importlib.import_module(f"cancernet_cli.metrics.{spec.measured_from}"), spec.function or spec.name
    )
    return function


def measure(spec: FigureSpec, scores: Scores) -> Figure:
    """One figure of labelled predictions, without its interval."""
    function = function_of(spec)
    if spec.weighting == "cases":
        scores = scores.case_weighted
        if not len(scores.labels):
            return Figure.of(None, 0, "the patients of the images are unknown")
    found = function(scores.confusion_matrix if spec.measured_from == "decisions" else scores)
    if isinstance(found, Figure):
        return found
    if isinstance(found, PerClass):
        return Figure.of(float(found.combined()), found.count(), found.reason(scores.classes))
    return Figure.of(float(found), scores.n_images)


def measure_resamples(spec: FigureSpec, matrices: F64) -> F64:
    """A figure of decisions in each of many resamples: `[R, K, K]` to `[R]`."""
    found = function_of(spec)(matrices)
    return found.combined() if isinstance(found, PerClass) else np.asarray(found)


def confusion(scores: Scores) -> dict[str, Any]:
    """The confusion matrix as metrics files hold it; with two classes also tn, fp, fn and tp."""
    matrix = scores.confusion_matrix.astype(np.int64)
    found: dict[str, Any] = {"classes": list(scores.classes), "true_by_predicted": matrix.tolist()}
    if len(matrix) == 2:
        (tn, fp), (fn, tp) = matrix.tolist()
        found |= {"tn": tn, "fp": fp, "fn": fn, "tp": tp}
    return found
