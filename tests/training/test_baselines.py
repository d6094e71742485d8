"""Baselines against scikit-learn's own classes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from cancernet_cli.training.baselines import BASELINES, fit_naive_bayes, fit_svm

PATIENTS = np.array([f"p{i // 5}" for i in range(120)])


def data(classes: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    labels = np.arange(120) // 5 % classes
    features = random.normal(size=(120, 6)) * 3 + 40
    features[np.arange(120), labels] += 5
    return features, labels


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", BASELINES)
def test_learns_what_is_there(name: str, classes: int) -> None:
    features, labels = data(classes)
    train, test = np.arange(0, 80), np.arange(80, 120)
    fitted = BASELINES[name](features[train], labels[train], PATIENTS[train], classes, 0)
    logits = fitted.logits(features[test])
    assert logits.shape == (40, classes)
    for k in range(classes):
        assert roc_auc_score(labels[test] == k, logits[:, k]) > 0.75
    again = BASELINES[name](features[train], labels[train], PATIENTS[train], classes, 0)
    np.testing.assert_array_equal(logits, again.logits(features[test]))


def test_naive_bayes_is_scikit_learns() -> None:
    features, labels = data(2)
    scaled = StandardScaler().fit_transform(features)
    expected = GaussianNB().fit(scaled, labels).predict_proba(scaled)
    found = fit_naive_bayes(features, labels, PATIENTS, 2, 0).logits(features)
    np.testing.assert_allclose(np.exp(log_softmax(found, axis=1)), expected, atol=1e-9)


def test_the_svm_decides_as_scikit_learns_and_is_calibrated_on_held_out_patients() -> None:
    features, labels = data(2)
    scaled = StandardScaler().fit_transform(features)
    machine = SVC(class_weight="balanced").fit(scaled, labels)
    fitted = fit_svm(features, labels, PATIENTS, 2, 0)
    logits = fitted.logits(features)
    np.testing.assert_array_equal(logits.argmax(axis=1), machine.predict(scaled))
    noise = np.random.default_rng(0).normal(size=features.shape)
    assert fit_svm(noise, labels, PATIENTS, 2, 0).temperature > fitted.temperature, "nothing to learn: never sure"


def test_the_svm_takes_a_class_with_one_patient() -> None:
    features, labels = data(2)
    patients = np.where(labels == 1, "only", PATIENTS)
    assert fit_svm(features, labels, patients, 2, 0).temperature == 1
