"""The clustered bootstrap, against scikit-learn and a plain loop."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.metrics import roc_auc_score

from cancernet_cli.core.figures import FIGURES, Interval
from cancernet_cli.metrics import intervals
from cancernet_cli.metrics.intervals import clustered_bootstrap
from cancernet_cli.metrics.ranks import auroc
from cancernet_cli.metrics.ranks.auroc import AurocResampler
from cancernet_cli.metrics.resampling import Design, Resampling
from cancernet_cli.metrics.scores import Scores

NAMES = ("auroc", "accuracy", "recognition_rate")


def bootstrap(resamples: int = 1000, names: tuple[str, ...] = NAMES, **columns: Any) -> dict[str, Interval]:
    return clustered_bootstrap(
        [spec for spec in FIGURES if spec.name in names], Scores.of(**columns), Resampling(resamples)
    )


def cohort(patients: int, images: int, *, seed: int = 0, digits: int = 7) -> dict[str, Any]:
    """Labels, probabilities and patients; every patient has one label and an offset."""
    rng = np.random.default_rng(seed)
    who = rng.integers(patients, size=images)
    y = who % 2
    quirk = rng.normal(0, 1, patients)
    p = (1 / (1 + np.exp(-(y - 0.5 + quirk[who] + rng.normal(0, 0.5, images))))).round(digits)
    return {"labels": y, "probs": np.column_stack([1 - p, p]), "patients": who}


def weighted_auroc(y: np.ndarray, p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUROC when each image is a unit, under each row of weights."""
    scores = Scores.of(y, p, patients=np.arange(len(y)))
    return AurocResampler(Design.of(scores), scores)(weights.astype(float))


def test_weighted_auroc_equals_scikit_learn_with_ties_and_weights() -> None:
    rng = np.random.default_rng(1)
    y, p = rng.integers(2, size=80), rng.random(80).round(1)
    weights = rng.integers(0, 4, size=(30, 80))
    expected = [roc_auc_score(y, p, sample_weight=w) for w in weights]
    np.testing.assert_allclose(weighted_auroc(y, p, weights), expected, rtol=1e-12)


def test_a_weighting_without_a_class_has_no_auroc() -> None:
    assert np.isnan(weighted_auroc(np.array([0, 1]), np.array([0.2, 0.8]), np.array([[1, 0]]))).all()


def test_merging_distinct_scores_hardly_moves_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    data = cohort(30, 20_000)
    exact = bootstrap(200, ("auroc",), **data)["auroc"]
    monkeypatch.setattr(auroc, "_MOST_LEVELS", 5_000)
    merged = bootstrap(200, ("auroc",), **data)["auroc"]
    assert [merged.low, merged.high] == pytest.approx([exact.low, exact.high], abs=1e-4)
    assert merged.low != exact.low


def test_equals_the_plain_loop_over_resampled_patients() -> None:
    data = cohort(12, 150, digits=1)
    y, p, who = data["labels"], data["probs"][:, 1], data["patients"]
    right = (p >= 0.5) == y
    drawn: dict[str, list[float]] = {
        name: [] for name in (*NAMES, "recall", "specificity", "precision", "f1", "mcc", "brier")
    }
    design = Design.of(Scores.of(**data))
    assert [stratum.tolist() for stratum in design.strata] == [list(range(k, 12, 2)) for k in (0, 1)]
    for weights in design.weights(Resampling(100), 100):
        for w in weights:
            rows = np.concatenate([np.flatnonzero(who == i) for i in range(12) for _ in range(int(w[i]))])
            drawn["auroc"].append(roc_auc_score(y[rows], p[rows]))
            drawn["accuracy"].append(right[rows].mean())
            drawn["recognition_rate"].append(np.average([right[who == i].mean() for i in range(12)], weights=w))
            drawn["recall"].append(sk.recall_score(y[rows], p[rows] >= 0.5))
            drawn["specificity"].append(sk.recall_score(y[rows], p[rows] >= 0.5, pos_label=0))
            drawn["precision"].append(sk.precision_score(y[rows], p[rows] >= 0.5))
            drawn["f1"].append(sk.f1_score(y[rows], p[rows] >= 0.5))
            drawn["mcc"].append(sk.matthews_corrcoef(y[rows], p[rows] >= 0.5))
            drawn["brier"].append(sk.brier_score_loss(y[rows], p[rows]))
    found = bootstrap(100, tuple(drawn), **data)
    assert set(found) == set(drawn)
    for name, values in drawn.items():
        assert [found[name].low, found[name].high] == pytest.approx(np.quantile(values, [0.025, 0.975])), name
        assert (found[name].unit, found[name].units, found[name].resamples) == ("patient", 12, 100)


def test_counts_are_repeated_images() -> None:
    rng = np.random.default_rng(3)
    data, counts = cohort(10, 60), rng.integers(1, 5, 60)
    repeated = {name: np.repeat(column, counts, axis=0) for name, column in data.items()}
    assert bootstrap(**data, counts=counts) == bootstrap(**repeated)
    once = bootstrap(**{**data, "patients": np.full(60, -1)}, counts=counts)
    often = bootstrap(**{**repeated, "patients": np.full(counts.sum(), -1)})
    assert once["auroc"].units == often["auroc"].units == counts.sum()
    assert once["auroc"].low == pytest.approx(often["auroc"].low, abs=0.02)  # other draws, the same distribution


def test_the_same_whatever_is_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    data = cohort(9, 100)
    whole = bootstrap(**data)
    monkeypatch.setattr(intervals, "_CELLS", 700)
    pieces = bootstrap(**data)
    for name, interval in whole.items():
        assert [pieces[name].low, pieces[name].high] == pytest.approx([interval.low, interval.high], rel=1e-12)


def test_patients_make_it_wider_than_images() -> None:
    data = cohort(20, 1000)
    by_patient = bootstrap(**data)["auroc"]
    by_image = bootstrap(**{**data, "patients": np.full(1000, -1)})
    assert by_image["auroc"].unit == "image"
    assert by_image["auroc"].units == 1000
    assert by_patient.high - by_patient.low > 2 * (by_image["auroc"].high - by_image["auroc"].low)
    assert by_image["recognition_rate"].low is None
    assert by_image["recognition_rate"].reason == "the patients of some images are unknown"


def test_one_patient_of_a_class_has_no_interval() -> None:
    found = bootstrap(labels=[0, 0, 1, 1], probs=np.full((4, 2), 0.5), predicted=[0, 0, 0, 1], patients=[1, 2, 3, 3])
    assert {i.reason for i in found.values()} == {"fewer than 2 patients of a class"}
    assert found["auroc"].low is None
    assert found["auroc"].units == 3


def test_one_class_has_an_accuracy_but_no_auroc() -> None:
    found = bootstrap(labels=[1, 1, 1, 1], probs=np.full((4, 2), 0.5), predicted=[1, 1, 0, 1], patients=[1, 2, 3, 3])
    assert found["auroc"].reason == "undefined in every resample"
    assert found["accuracy"].low == 0.5
    assert found["accuracy"].high == 1.0


def test_nothing_has_no_interval() -> None:
    found = bootstrap(labels=[], probs=np.zeros((0, 2)), patients=[])
    assert found["auroc"].low is None
    assert found["accuracy"].reason == "fewer than 2 patients of a class"


def test_patients_with_both_labels_do_not_lose_a_class() -> None:
    # Each patient is mostly malignant; one is mostly benign and would be alone in a stratum.
    y = np.tile([1, 1, 0], 6)
    y[:3] = [0, 0, 1]
    p = np.random.default_rng(0).random(18)
    found = bootstrap(labels=y, probs=p, patients=np.repeat(np.arange(6), 3))
    assert found["auroc"].resamples == 1000
    assert found["auroc"].low < found["auroc"].high


def test_more_than_two_classes() -> None:
    rng = np.random.default_rng(7)
    who = rng.integers(12, size=200)
    y = who % 3
    probs = rng.dirichlet([1, 1, 1], 200) * 0.6 + 0.4 * np.eye(3)[y]
    found = bootstrap(labels=y, probs=probs, classes=("a", "b", "c"), patients=who)
    value = np.mean([roc_auc_score(y == k, probs[:, k]) for k in range(3)])
    assert found["auroc"].low < value < found["auroc"].high


def test_ten_thousand_images_in_three_seconds() -> None:
    data = cohort(80, 10_000)
    for patients in (data["patients"], np.full(10_000, -1)):
        start = time.process_time()
        bootstrap(**{**data, "patients": patients})
        assert time.process_time() - start < 3
