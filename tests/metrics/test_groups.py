"""Figures by magnification, by slide and by patient, against hand-worked cases."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cancernet_cli.core.figures import plain
from cancernet_cli.metrics import groups
from cancernet_cli.metrics.groups import (
    by_magnification,
    grouped_metrics,
    image_metrics,
    patient_metrics,
    repeated_metrics,
    slide_metrics,
)
from cancernet_cli.metrics.resampling import Resampling
from cancernet_cli.metrics.scores import Scores

# Patients a (benign, 2 of 3 right), b (benign, 1 of 1), c (malignant, 1 of 2), d (malignant, none of 4)
HAND = Scores.of(
    labels=[0, 0, 0, 1, 1, 1],
    probs=[0.1, 0.9, 0.2, 0.9, 0.4, 0.3],
    counts=[2, 1, 1, 1, 1, 4],
    patients=[0, 0, 1, 2, 2, 3],
    patient_names=["a", "b", "c", "d"],
)


def test_recognition_rate_by_hand() -> None:
    found = patient_metrics(HAND)
    assert found["recognition_rate"].value == pytest.approx((2 / 3 + 1 + 1 / 2 + 0) / 4)
    assert found["recognition_rate"].count == found["count"] == 4
    assert found["images"] == 10
    means = [1.1 / 3, 0.2, 0.65, 0.3]
    assert found["auroc"].value == roc_auc_score([0, 0, 1, 1], means)
    assert [row["patient"] for row in found["patients"]] == ["d", "c", "a", "b"]
    assert found["patients"][1] == {
        "patient": "c",
        "label": "malignant",
        "count": 2,
        "right": 1,
        "score": 0.5,
        "mean_prob": pytest.approx(0.65),
    }


def test_the_table_of_patients_is_capped_at_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "WORST_PATIENTS", 2)
    found = patient_metrics(HAND)
    assert [row["patient"] for row in found["patients"]] == ["d", "c"]
    assert (found["count"], found["patients_listed"]) == (4, 2)


def test_patients_with_several_labels_count_but_not_for_auroc() -> None:
    scores = Scores.of([0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8], patients=[0, 0, 1, 2], patient_names=["x", "y", "z"])
    found = patient_metrics(scores)
    assert (found["count"], found["several_labels"], found["auroc"].count) == (3, 1, 2)
    assert found["auroc"].value == 1
    assert {row["patient"]: row["label"] for row in found["patients"]} == {"x": None, "y": "benign", "z": "malignant"}


def test_unknown_patients_are_left_out_and_counted() -> None:
    scores = Scores.of([0, 1, 1], [0.1, 0.9, 0.2], patients=[0, -1, -1], patient_names=["x"])
    found = patient_metrics(scores)
    assert (found["count"], found["images"], found["images_without_patient"]) == (1, 1, 2)
    images = image_metrics(scores)
    assert images["images_without_patient"] == 2
    assert "case_weighted_auroc" in images
    assert "case_weighted_auroc" not in image_metrics(Scores.of([0, 1], [0.1, 0.9]))
    assert images["auroc"].interval.unit == "image"
    assert patient_metrics(Scores.of([0, 1], [0.1, 0.9])) == {"count": 0, "images_without_patient": 2}


def test_a_single_patient_has_figures_but_no_intervals() -> None:
    found = grouped_metrics(Scores.of([0, 0], [0.1, 0.9], patients=[0, 0], patient_names=["only"]))
    assert found["images"]["accuracy"].value == 0.5
    assert found["images"]["accuracy"].interval.low is None
    assert found["images"]["accuracy"].interval.reason == "fewer than 2 patients of a class"
    assert found["by_patient"]["auroc"].reason == "only one class among the true labels"
    json.dumps(plain(found), allow_nan=False)


def test_each_magnification_apart() -> None:
    scores = Scores.of([0, 1, 1, 0], [0.1, 0.9, 0.2, 0.8], magnifications=[100.0, 40.0, 100.0, np.nan])
    found = by_magnification(scores)
    assert list(found) == ["40", "100", "unknown"]
    assert {name: (m["count"], m["accuracy"].value) for name, m in found.items()} == {
        "40": (1, 1.0),
        "100": (2, 0.5),
        "unknown": (1, 0.0),
    }


def test_more_than_two_classes() -> None:
    probs = np.tile(np.eye(3) * 0.7 + 0.1, (4, 1))
    scores = Scores.of([0, 1, 2] * 4, probs, classes=("a", "b", "c"), patients=np.arange(12) % 6)
    found = grouped_metrics(scores)
    assert found["by_patient"]["auroc"].value == 1
    assert found["by_patient"]["patients"][0]["mean_prob"] == pytest.approx({"a": 0.8, "b": 0.1, "c": 0.1})
    assert found["images"]["auroc"].interval.low == pytest.approx(0.05 ** (1 / 2))  # two patients of each class
    json.dumps(plain(found), allow_nan=False)


def test_means_over_divisions_with_the_spread_and_intervals_of_the_mean() -> None:
    rng = np.random.default_rng(0)
    who = np.arange(120) % 12
    y, magnifications = who % 2, np.where(np.arange(120) % 3 == 0, 40.0, 100.0)
    divisions = [
        Scores.of(y, np.clip(rng.normal(0.4 + 0.2 * y, 0.3), 0, 1), patients=who, magnifications=magnifications)
        for _ in range(3)
    ]
    resampling = Resampling(200)
    found, alone = (
        repeated_metrics(divisions, resampling),
        [grouped_metrics(d, resampling=resampling) for d in divisions],
    )
    assert found["count"] == 3
    for path in (("images", "case_weighted_auroc"), ("images", "ece"), ("by_patient", "recognition_rate")):
        figure = found[path[0]][path[1]]
        assert figure.each == tuple(one[path[0]][path[1]].value for one in alone)
        assert figure.value == pytest.approx(np.mean(figure.each))
        assert figure.spread == (min(figure.each), max(figure.each))
    at_40 = found["by_magnification"]["40"]
    assert at_40["auroc"].each == tuple(one["by_magnification"]["40"]["auroc"].value for one in alone)
    assert at_40["patients"] == 4
    mean = found["images"]["auroc"]
    assert mean.interval.low < mean.value < mean.interval.high
    ends = [one["images"]["auroc"].interval for one in alone]
    assert mean.interval.high - mean.interval.low < np.mean([end.high - end.low for end in ends])  # errors cancel out
    same = repeated_metrics([divisions[0]] * 2, resampling)["images"]["auroc"]
    assert same.interval == alone[0]["images"]["auroc"].interval
    json.dumps(plain(found), allow_nan=False)


def slides() -> Scores:
    """(patient, slide): (0, 0) benign, mean 0.5; (0, 1) benign, 0.2; (1, 0) malignant, 0.6; (2, 5) has both labels;
    (3, 7) malignant, 0.9; and an image without a slide."""
    return Scores.of(
        labels=[0, 0, 0, 1, 0, 1, 1, 1],
        probs=[0.3, 0.9, 0.2, 0.6, 0.1, 0.9, 0.9, 0.1],
        counts=[2, 1, 1, 3, 1, 1, 1, 1],
        patients=[0, 0, 0, 1, 2, 2, 3, 3],
        slides=[0, 0, 1, 0, 5, 5, 7, -1],
    )


def test_slides_by_hand() -> None:
    found = slide_metrics(slides(), threshold=0.4)
    assert (found["count"], found["images"], found["images_without_slide"], found["several_labels"]) == (4, 10, 1, 1)
    assert found["auroc"].value == roc_auc_score([0, 0, 1, 1], [0.5, 0.2, 0.6, 0.9])
    # one number for a slide of two patients is two slides; (0, 0) is called malignant at 0.4
    assert found["accuracy"].value == 3 / 4
    assert (found["specificity"].value, found["recall"].value) == (1 / 2, 1)
    assert slide_metrics(slides(), threshold=0.55)["accuracy"].value == 1


def test_intervals_of_slides_resample_patients() -> None:
    rng = np.random.default_rng(0)
    slide = np.arange(240) % 24
    y = slide // 2 % 2
    p = np.clip(rng.normal(0.45 + 0.05 * y, 0.2), 0, 1)
    found = slide_metrics(Scores.of(y, p, patients=slide // 2, slides=slide))
    assert found["count"] == 24
    for name in ("auroc", "accuracy"):
        assert (found[name].interval.unit, found[name].interval.units) == ("patient", 12)
        assert found[name].interval.low <= found[name].value <= found[name].interval.high
    nobody = slide_metrics(Scores.of(y, p, slides=slide))
    assert nobody["auroc"].interval.unit == "slide"


def test_slides_without_names_or_with_several_thresholds_say_why() -> None:
    found = slide_metrics(HAND)
    assert found == {"count": 0, "images_without_slide": 10, "reason": "the slides of the images are unknown"}
    found = slide_metrics(slides(), threshold=None)
    assert found["accuracy"].reason == "the table has several decision thresholds"
    assert found["auroc"].value is not None


def test_the_seed_and_the_count_of_resamples_reach_every_interval() -> None:
    rng = np.random.default_rng(0)
    who = rng.integers(12, size=250)
    p = rng.random(250)
    scores = Scores.of(who % 2, p, patients=who, slides=who)
    found = [grouped_metrics(scores, resampling=Resampling(200, seed)) for seed in (0, 0, 1)]
    assert found[0] == found[1]
    for group, name in (("images", "auroc"), ("by_slide", "accuracy"), ("by_patient", "recognition_rate")):
        assert found[0][group][name].interval.resamples == 200
        assert found[0][group][name].interval.low != found[2][group][name].interval.low
