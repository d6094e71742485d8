"""The linear classifier against scikit-learn, and its choice of penalty."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cancernet_cli.training.logistic import (
    ENOUGH_PATIENTS,
    USUAL_STRENGTH,
    cross_entropy,
    fit_at,
    fit_logistic,
    image_weights,
)


@pytest.mark.parametrize("classes", [2, 3])
def test_gives_the_probabilities_of_scikit_learn(classes: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), 20)
    features = rng.normal(size=(len(labels), 5)) * 3 + 7 + labels[:, None]
    patients = np.arange(len(labels)).astype(str)
    model = fit_at(features[:, None], labels, patients, classes, 0.1)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=5000))
    expected = theirs.fit(features, labels).predict_proba(features)
    logits = model.logits(features)
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probs, expected, atol=1e-3)


def test_a_feature_that_never_varies_does_no_harm() -> None:
    features = np.column_stack([np.ones(20), np.repeat([0.0, 1.0], 10)])[:, None]
    model = fit_at(features, np.repeat([0, 1], 10), np.arange(20).astype(str), 2, 0.1)
    assert np.isfinite(model.logits(features[:, 0])).all()


def test_classes_weigh_the_same_and_patients_as_the_root_of_their_images() -> None:
    labels = np.array([0] * 5 + [1] * 2)
    weights = image_weights(labels, np.array(list("aaaab") + list("cd")))
    assert weights.mean() == pytest.approx(1)
    assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum())
    assert weights[:4].sum() == pytest.approx(2 * weights[4])  # four images of one patient against one of another


def test_many_noisy_features_get_a_stricter_penalty_than_a_clean_one() -> None:
    rng = np.random.default_rng(1)
    patients = np.repeat([f"p{i}" for i in range(ENOUGH_PATIENTS)], 2)
    labels = np.repeat(np.arange(ENOUGH_PATIENTS) % 2, 2)
    noise = rng.normal(size=(len(labels), 1, 40))
    clean = labels[:, None, None] + 0.1 * rng.normal(size=(len(labels), 1, 1))
    strict = fit_logistic(noise, labels, patients, 2, 0).strength
    loose = fit_logistic(clean, labels, patients, 2, 0).strength
    assert strict < loose


def test_few_patients_get_the_usual_penalty() -> None:
    rng = np.random.default_rng(1)
    patients = np.repeat([f"p{i}" for i in range(ENOUGH_PATIENTS - 1)], 2)
    features = rng.normal(size=(len(patients), 1, 4))
    model = fit_logistic(features, np.arange(len(patients)) // 2 % 2, patients, 2, 0)
    assert model.strength == USUAL_STRENGTH


def test_cross_entropy_is_minus_the_log_of_the_true_class() -> None:
    logits = np.log(np.array([[0.2, 0.8], [0.5, 0.5]]))
    np.testing.assert_allclose(cross_entropy(logits, np.array([1, 0])), -np.log([0.8, 0.5]))
