"""Baseline classifiers on handcrafted features: logistic regression, SVM, naive Bayes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from cancernet_cli.core.arrays import F64, I64, Strings
from cancernet_cli.training.logistic import TEMPERATURES, cross_entropy, fit_logistic, inner_splits


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline: `raw_logits` divided by `temperature`."""

    raw_logits: Callable[[F64], F64]
    temperature: float = 1.0

    def logits(self, features: NDArray[np.floating]) -> F64:
        """`[N, F]` to `[N, K]`."""
        return self.raw_logits(np.asarray(features, np.float64)) / self.temperature


Fit = Callable[[F64, I64, Strings, int, int], Baseline]


def fit_linear(features: F64, labels: I64, patients: Strings, classes: int, seed: int) -> Baseline:
    """Logistic regression (`training.logistic`).

    Args:
        features: `[N, F]`. labels: `[N]`, with each of the K classes at least once. patients: `[N]` names.
    """
    return Baseline(fit_logistic(features[:, None], labels, patients, classes, seed).logits)


def fit_svm(features: F64, labels: I64, patients: Strings, classes: int, seed: int) -> Baseline:
    """A support vector machine with a Gaussian kernel on standardised features, with balanced classes.

    Its decision values become logits by temperature scaling (Guo et al., arXiv:1706.04599), fitted on held-out
    patients among these rows. Arguments as `fit_linear`.
    """

    def fit(rows: I64) -> Callable[[F64], F64]:
        machine: Any = make_pipeline(StandardScaler(), SVC(class_weight="balanced", decision_function_shape="ovr"))
        machine.fit(features[rows], labels[rows])
        return lambda values: _as_logits(machine.decision_function(values))

    held_out = np.full((len(labels), classes), np.nan)
    for train, test in inner_splits(labels, patients, classes, seed):
        held_out[test] = fit(train)(features[test])
    known = np.isfinite(held_out).all(axis=1)
    losses = [cross_entropy(held_out[known] / t, labels[known]).mean() for t in TEMPERATURES] if known.any() else [0.0]
    return Baseline(fit(np.arange(len(labels))), TEMPERATURES[int(np.argmin(losses))] if known.any() else 1.0)


def fit_naive_bayes(features: F64, labels: I64, patients: Strings, classes: int, seed: int) -> Baseline:
    """Gaussian naive Bayes on standardised features; arguments as `fit_linear`."""
    model: Any = make_pipeline(StandardScaler(), GaussianNB())
    model.fit(features, labels)
    return Baseline(model.predict_log_proba)


BASELINES: dict[str, Fit] = {"logistic": fit_linear, "svm": fit_svm, "naive-bayes": fit_naive_bayes}


def _as_logits(decisions: F64) -> F64:
    """From decision values `[N]` for two classes, the second positive, or `[N, K]`, to logits `[N, K]`."""
    return np.column_stack([-decisions, decisions]) if decisions.ndim == 1 else decisions
