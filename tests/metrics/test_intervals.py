"""The clustered bootstrap, against scikit-learn and a plain loop."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cancernet_cli.metrics import intervals
from cancernet_cli.metrics.intervals import clustered_bootstrap, weighted_auroc


def cohort(patients: int, images: int, *, seed: int = 0, digits: int = 7) -> dict[str, Any]:
    """Labels, probabilities and patients; every patient has one label and a quirk of his own."""
    rng = np.random.default_rng(seed)
    who = rng.integers(patients, size=images)
    y = who % 2
    quirk = rng.normal(0, 1, patients)
    p = (1 / (1 + np.exp(-(y - 0.5 + quirk[who] + rng.normal(0, 0.5, images))))).round(digits)
    return {"labels": y, "probs": np.column_stack([1 - p, p]), "right": (p >= 0.5) == y, "patients": who}


def test_weighted_auroc_equals_scikit_learn_with_ties_and_weights() -> None:
    rng = np.random.default_rng(1)
    y, p = rng.integers(2, size=80), rng.random(80).round(1)
    weights = rng.integers(0, 4, size=(30, 80))
    expected = [roc_auc_score(y, p, sample_weight=w) for w in weights]
    np.testing.assert_allclose(weighted_auroc(y, p, weights), expected, rtol=1e-12)


def test_a_weighting_without_a_class_has_no_auroc() -> None:
    assert np.isnan(weighted_auroc([0, 1], [0.2, 0.8], [[1, 0]])).all()


def test_equals_the_plain_loop_over_resampled_patients() -> None:
    data = cohort(12, 150, digits=1)
    y, p, who = data["labels"], data["probs"][:, 1], data["patients"]
    strata = [np.array([i for i in range(12) if i % 2 == k]) for k in (0, 1)]
    aurocs, accuracies, rates = [], [], []
    for weights in intervals._resampled(strata, 12, 100, 100, seed=0):
        for w in weights:
            rows = np.concatenate([np.flatnonzero(who == i) for i in range(12) for _ in range(int(w[i]))])
            aurocs.append(roc_auc_score(y[rows], p[rows]))
            accuracies.append(data["right"][rows].mean())
            rates.append(np.average([data["right"][who == i].mean() for i in range(12)], weights=w))
    found = clustered_bootstrap(**data, resamples=100)
    for name, drawn in (("auroc", aurocs), ("accuracy", accuracies), ("recognition_rate", rates)):
        assert [found[name].low, found[name].high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]))
        assert (found[name].unit, found[name].units, found[name].resamples) == ("patient", 12, 100)


def test_counts_are_repeated_images() -> None:
    rng = np.random.default_rng(3)
    data, counts = cohort(10, 60), rng.integers(1, 5, 60)
    repeated = {name: np.repeat(column, counts, axis=0) for name, column in data.items()}
    assert clustered_bootstrap(**data, counts=counts) == clustered_bootstrap(**repeated)
    once = clustered_bootstrap(**{**data, "patients": np.full(60, -1)}, counts=counts)
    often = clustered_bootstrap(**{**repeated, "patients": np.full(counts.sum(), -1)})
    assert once["auroc"].units == often["auroc"].units == counts.sum()
    assert once["auroc"].low == pytest.approx(often["auroc"].low, abs=0.02)  # other draws, the same distribution


def test_the_same_whatever_is_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    data = cohort(9, 100)
    whole = clustered_bootstrap(**data)
    monkeypatch.setattr(intervals, "_CELLS", 700)
    pieces = clustered_bootstrap(**data)
    for name, interval in whole.items():
        assert [pieces[name].low, pieces[name].high] == pytest.approx([interval.low, interval.high], rel=1e-12)


def test_patients_make_it_wider_than_images() -> None:
    data = cohort(20, 1000)
    by_patient = clustered_bootstrap(**data)["auroc"]
    by_image = clustered_bootstrap(**{**data, "patients": np.full(1000, -1)})
    assert by_image["auroc"].unit == "image"
    assert by_image["auroc"].units == 1000
    assert by_patient.high - by_patient.low > 2 * (by_image["auroc"].high - by_image["auroc"].low)
    assert by_image["recognition_rate"].low is None
    assert by_image["recognition_rate"].reason == "the patients of some images are unknown"


def test_one_patient_of_a_class_has_no_interval() -> None:
    found = clustered_bootstrap([0, 0, 1, 1], np.full((4, 2), 0.5), [1, 1, 0, 1], [1, 2, 3, 3])
    assert {i.reason for i in found.values()} == {"fewer than 2 patients of a class"}
    assert found["auroc"].low is None
    assert found["auroc"].units == 3


def test_one_class_has_an_accuracy_but_no_auroc() -> None:
    found = clustered_bootstrap([1, 1, 1, 1], np.full((4, 2), 0.5), [1, 1, 0, 1], [1, 2, 3, 3])
    assert found["auroc"].reason == "only one class"
    assert found["accuracy"].low == 0.5
    assert found["accuracy"].high == 1.0


def test_nothing_has_no_interval() -> None:
    found = clustered_bootstrap([], np.zeros((0, 2)), [], [])
    assert found["auroc"].low is None
    assert found["accuracy"].reason == "fewer than 2 patients of a class"


def test_patients_with_both_labels_do_not_lose_a_class() -> None:
    # Each patient is mostly malignant; one is mostly benign and would be alone in his stratum.
    y = np.tile([1, 1, 0], 6)
    y[:3] = [0, 0, 1]
    p = np.random.default_rng(0).random(18)
    found = clustered_bootstrap(y, np.column_stack([1 - p, p]), (p > 0.5) == y, np.repeat(np.arange(6), 3))
    assert found["auroc"].resamples == 1000
    assert found["auroc"].low < found["auroc"].high


def test_more_than_two_classes() -> None:
    rng = np.random.default_rng(7)
    who = rng.integers(12, size=200)
    y = who % 3
    probs = rng.dirichlet([1, 1, 1], 200) * 0.6 + 0.4 * np.eye(3)[y]
    found = clustered_bootstrap(y, probs, probs.argmax(1) == y, who)
    value = np.mean([roc_auc_score(y == k, probs[:, k]) for k in range(3)])
    assert found["auroc"].low < value < found["auroc"].high


def test_ten_thousand_images_in_three_seconds() -> None:
    data = cohort(80, 10_000)
    for patients in (data["patients"], np.full(10_000, -1)):
        start = time.process_time()
        clustered_bootstrap(**{**data, "patients": patients})
        assert time.process_time() - start < 3
