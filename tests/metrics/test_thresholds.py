"""The threshold table, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)

from cancernet_cli.metrics.thresholds import threshold_table


def test_every_row_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=200)
    p = np.clip(rng.normal(0.4 + 0.2 * y, 0.2), 0, 1).round(2)
    counts = rng.integers(1, 5, size=200)
    thresholds = [0.0, 0.25, 0.4, 0.5, 0.77, 0.9]
    for row in threshold_table(y, p, counts, thresholds):
        data = {"y_true": y, "y_pred": p >= row["threshold"], "sample_weight": counts}
        flipped = {**data, "y_true": 1 - y, "y_pred": p < row["threshold"]}
        (tn, fp), (fn, tp) = confusion_matrix(**data)
        assert [row[name] for name in ("tn", "fp", "fn", "tp")] == [tn, fp, fn, tp]
        assert row["sensitivity"] == pytest.approx(recall_score(**data))
        assert row["specificity"] == pytest.approx(recall_score(**flipped))
        assert row["ppv"] == pytest.approx(precision_score(**data))
        if tn + fn:
            assert row["npv"] == pytest.approx(precision_score(**flipped))
        assert row["accuracy"] == pytest.approx(accuracy_score(**data))
        assert row["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(**data))
        assert row["f1"] == pytest.approx(f1_score(**data))


def test_a_share_of_nothing_is_none() -> None:
    (row,) = threshold_table([0, 0], [0.1, 0.2], [1, 3], [0.5])
    assert row["specificity"] == 1
    assert row["tn"] == 4
    assert [row[name] for name in ("sensitivity", "ppv", "balanced_accuracy", "f1")] == [None] * 4


def test_the_threshold_itself_is_positive() -> None:
    (row,) = threshold_table([1, 0], [0.5, 0.5], [1, 1], [0.5])
    assert (row["tp"], row["fp"]) == (1, 1)
