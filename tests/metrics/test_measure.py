"""The figures, against scikit-learn on plain arrays and hand-worked cases."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from cancernet_cli.core.figures import FIGURES, Figure, figures_in
from cancernet_cli.metrics.measure import confusion, function_of, measure
from cancernet_cli.metrics.scores import Scores


def figures(scores: Scores) -> dict[str, Figure]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        specs = [spec for spec in figures_in("images") if spec.weighting == "images"]
        return {spec.name: measure(spec, scores) for spec in specs if spec.measured_from != "abstention"}


def values(scores: Scores) -> dict[str, Any]:
    return {name: figure.value for name, figure in figures(scores).items()}


def test_every_figure_of_the_table_has_a_function() -> None:
    assert all(callable(function_of(spec)) for spec in FIGURES)
    assert len({spec.name for spec in FIGURES}) == len(FIGURES)


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_two_classes_equal_scikit_learn(threshold: float) -> None:
    rng = np.random.default_rng(0)
    y, p, w = rng.integers(2, size=200), rng.random(200).round(1), rng.integers(1, 5, 200)
    p = np.clip(0.6 * p + 0.4 * y, 0.01, 0.99)
    d, kw = p >= threshold, {"sample_weight": w}
    scores = Scores.of(y, p, threshold=threshold, counts=w)
    assert values(scores) == pytest.approx(
        {
            "accuracy": sk.accuracy_score(y, d, **kw),
            "balanced_accuracy": sk.balanced_accuracy_score(y, d, **kw),
            "precision": sk.precision_score(y, d, **kw),
            "recall": sk.recall_score(y, d, **kw),
            "f1": sk.f1_score(y, d, **kw),
            "specificity": sk.recall_score(1 - y, ~d, **kw),
            "mcc": sk.matthews_corrcoef(y, d, **kw),
            "auroc": sk.roc_auc_score(y, p, **kw),
            "auprc": sk.average_precision_score(y, p, **kw),
            "log_loss": sk.log_loss(y, p, **kw),
            "brier": sk.brier_score_loss(y, p, **kw),
            "ece": values(scores)["ece"],  # tests/metrics/test_calibration.py
        }
    )
    matrix = confusion(scores)
    assert [matrix[k] for k in ("tn", "fp", "fn", "tp")] == sk.confusion_matrix(y, d, **kw).ravel().tolist()


@pytest.mark.parametrize("classes", [2, 3])
def test_case_weighted_figures_equal_scikit_learn_with_one_weight_per_case(classes: int) -> None:
    rng = np.random.default_rng(3)
    who = rng.choice(12, 200, p=np.arange(1, 13) / 78)  # some cases have ten times the images of others
    y, counts = who % classes, rng.integers(1, 4, 200)
    probs = 0.6 * rng.dirichlet([1] * classes, 200) + 0.4 * np.eye(classes)[rng.permutation(y)]
    weight = counts / np.bincount(who, counts)[who]
    names = ("a", "b", "c")[:classes]
    unknown = [-1, -1]  # of unknown patients, left out
    scores = Scores.of(
        [*y, 0, 1],
        [*probs, *np.eye(classes)[[1, 0]]],
        classes=names,
        patients=[*who, *unknown],
        counts=[*counts, 5, 5],
    )
    found = {spec.name: measure(spec, scores) for spec in FIGURES if spec.weighting == "cases"}
    d, kw = probs.argmax(1), {"sample_weight": weight}
    of = [1] if classes == 2 else range(classes)
    ranked = [sk.roc_auc_score(y == k, probs[:, k], **kw) for k in of]
    expected = {
        "case_weighted_auroc": np.mean(ranked),
        "case_weighted_balanced_accuracy": sk.balanced_accuracy_score(y, d, **kw),
        "case_weighted_recall": np.mean([sk.recall_score(y == k, d == k, **kw) for k in of]),
        "case_weighted_specificity": np.mean([sk.recall_score(y != k, d != k, **kw) for k in of]),
    }
    values = {name: figure.value for name, figure in found.items()}
    assert expected | {"case_weighted_ece": values["case_weighted_ece"]} == pytest.approx(values)
    assert {found[name].count for name in ("case_weighted_auroc", "case_weighted_ece")} == {12}
    assert found["case_weighted_recall"].count == (6 if classes == 2 else 12)


def test_case_weights_by_hand() -> None:
    scores = Scores.of([0, 0, 0, 1, 1], [0.9, 0.9, 0.1, 0.8, 0.2], patients=[0, 0, 1, 2, 2])
    found = {spec.name: measure(spec, scores).value for spec in FIGURES if spec.function}
    # Malignant case 2: half right. Benign case 0: wrong twice, which counts once; case 1: right.
    assert (found["case_weighted_recall"], found["case_weighted_specificity"]) == (0.5, 0.5)
    assert found["case_weighted_balanced_accuracy"] == 0.5
    # Pairs of the halves of case 2 with 0 and 1: 0.8 ranks above 0.1 only, 0.2 above 0.1 only.
    assert found["case_weighted_auroc"] == 0.5
    # Two bins: 0.9 (case 0 wrong, case 1 right) and 0.8 (one half right, one half wrong).
    assert found["case_weighted_ece"] == pytest.approx((2 * abs(0.5 - 0.9) + 1 * abs(0.5 - 0.8)) / 3)


def test_without_known_patients_nothing_is_case_weighted() -> None:
    spec = next(spec for spec in FIGURES if spec.name == "case_weighted_auroc")
    assert measure(spec, Scores.of([0, 1], [0.1, 0.9])) == Figure(None, 0, "the patients of the images are unknown")


def test_by_hand_with_the_count_behind_each_figure() -> None:
    scores = Scores.of([1, 1, 1, 0, 0], [0.9, 0.8, 0.2, 0.7, 0.1], counts=[1, 1, 2, 1, 3])
    found = figures(scores)
    picked = {name: (found[name].value, found[name].count) for name in ("accuracy", "precision", "recall")}
    assert picked == {"accuracy": (5 / 8, 8), "precision": (2 / 3, 3), "recall": (0.5, 4)}
    assert (found["f1"].value, found["f1"].count) == (pytest.approx(4 / 7), 5)
    assert (found["specificity"].value, found["specificity"].count) == (0.75, 4)
    assert confusion(scores) == {
        "classes": ["benign", "malignant"],
        "true_by_predicted": [[3, 1], [2, 2]],
        "tn": 3,
        "fp": 1,
        "fn": 2,
        "tp": 2,
    }


def test_more_classes_equal_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    y, w = rng.integers(3, size=150), rng.integers(1, 4, 150)
    probs = 0.5 * rng.dirichlet([1, 1, 1], 150) + 0.5 * np.eye(3)[rng.permutation(y)]
    d, kw = probs.argmax(1), {"sample_weight": w}
    found = values(Scores.of(y, probs, classes=("a", "b", "c"), counts=w))
    specificity = [sk.recall_score(y != k, d != k, **kw) for k in range(3)]
    assert found == pytest.approx(
        {
            "accuracy": sk.accuracy_score(y, d, **kw),
            "balanced_accuracy": sk.balanced_accuracy_score(y, d, **kw),
            "precision": sk.precision_score(y, d, average="macro", **kw),
            "recall": sk.recall_score(y, d, average="macro", **kw),
            "f1": sk.f1_score(y, d, average="macro", **kw),
            "specificity": np.mean(specificity),
            "mcc": sk.matthews_corrcoef(y, d, **kw),
            "auroc": sk.roc_auc_score(y, probs, multi_class="ovr", average="macro", **kw),
            "auprc": np.mean([sk.average_precision_score(y == k, probs[:, k], **kw) for k in range(3)]),
            "log_loss": sk.log_loss(y, probs, **kw),
            "brier": np.average(((probs - np.eye(3)[y]) ** 2).sum(1), weights=w),
            "ece": found["ece"],
        }
    )


def test_one_class_has_no_ranking_and_says_so() -> None:
    found = figures(Scores.of([1, 1], [0.9, 0.2]))
    assert values(Scores.of([1, 1], [0.9, 0.2]))["recall"] == 0.5
    for name in ("auroc", "auprc"):
        assert found[name] == Figure(None, 2, "only one class among the true labels")
    assert found["specificity"] == Figure(None, 0, "every image is malignant")


def test_nobody_called_positive_has_no_precision() -> None:
    found = figures(Scores.of([1, 0], [0.1, 0.2]))
    assert found["precision"] == Figure(None, 0, "no image was classified as malignant")
    assert found["recall"].value == 0
    assert found["f1"].value == 0  # 2 tp / (2 tp + fp + fn) is defined
    nothing = figures(Scores.of([0, 0], [0.1, 0.2]))
    assert nothing["f1"] == Figure(None, 0, "no image is or was classified as malignant")
    assert nothing["recall"].reason == "no image is malignant"


def test_matthews_correlation_needs_two_classes_in_truth_and_decisions() -> None:
    assert figures(Scores.of([1, 0], [0.1, 0.2]))["mcc"] == Figure(None, 2, "undefined")
    assert figures(Scores.of([1, 0], [0.1, 0.9]))["mcc"].value == -1


def test_a_class_without_images_is_left_out_of_the_mean_but_not_one_that_is_never_called() -> None:
    probs = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0]])
    without_c = figures(Scores.of([0, 1, 1], probs, classes=("a", "b", "c")))
    assert without_c["recall"].value == pytest.approx((1 + 0.5) / 2)
    never_c = figures(Scores.of([0, 1, 2], probs, classes=("a", "b", "c")))
    assert never_c["precision"] == Figure(None, 3, "no image was classified as c")


def test_probabilities_of_exactly_0_and_1_have_a_finite_loss() -> None:
    assert values(Scores.of([1, 0], [0.0, 1.0]))["log_loss"] == pytest.approx(sk.log_loss([1, 0], [0.0, 1.0]))
