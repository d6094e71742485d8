"""Calibration, against hand-worked cases and other implementations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score, log_loss

from cancernet_cli.metrics.calibration import (
    choose_threshold,
    expected_calibration_error,
    fit_temperature,
    quantile_bins,
    reliability_table,
)


def two(p: list[float]) -> np.ndarray:
    return np.column_stack([1 - np.array(p), p])


def test_ece_by_hand() -> None:
    # 0.9, 0.9 (one right): |0.5 - 0.9|; 0.6 (as the other class, right): |1 - 0.6|; a third of weight on the last.
    labels = [1, 0, 0]
    probs = two([0.9, 0.9, 0.4])
    assert expected_calibration_error(labels, probs) == pytest.approx(2 / 3 * 0.4 + 1 / 3 * 0.4)
    assert expected_calibration_error(labels, probs, [1, 1, 0]) == pytest.approx(0.4)
    assert expected_calibration_error([], np.zeros((0, 2))) is None


def test_ece_counts_as_the_plain_loop() -> None:
    rng = np.random.default_rng(1)
    probs = rng.dirichlet([1, 1, 1], 500)
    labels = rng.integers(3, size=500)
    conf, right = probs.max(1), probs.argmax(1) == labels
    expected = 0.0
    for low, high in zip(np.linspace(0, 1, 16)[:-1], np.linspace(0, 1, 16)[1:], strict=True):
        inside = (conf > low) & (conf <= high)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - conf[inside].mean())
    assert expected_calibration_error(labels, probs) == pytest.approx(expected)


def test_weights_are_repeated_images() -> None:
    rng = np.random.default_rng(2)
    p, y, w = rng.random(40).round(2), rng.integers(2, size=40), rng.integers(1, 4, size=40)
    repeated = expected_calibration_error(np.repeat(y, w), two(np.repeat(p, w)))
    assert expected_calibration_error(y, two(p), w) == pytest.approx(repeated)
    assert choose_threshold(y, p, w) == choose_threshold(np.repeat(y, w), np.repeat(p, w))


def test_reliability_table_leaves_out_empty_bins() -> None:
    table = reliability_table([1, 1, 0], two([1.0, 1.0, 0.5]), [2, 1, 4], bins=2)
    assert [tuple(b.values()) for b in table] == [
        (0.0, 0.5, 4.0, 0.5, 1.0),
        (0.5, 1.0, 3.0, 1.0, 1.0),
    ]


def test_temperature_is_the_one_that_made_the_logits_too_sure() -> None:
    rng = np.random.default_rng(3)
    calm = rng.normal(0, 1.5, (20_000, 3))
    probs = np.exp(calm) / np.exp(calm).sum(1, keepdims=True)
    labels = (probs.cumsum(1) < rng.random((20_000, 1))).sum(1)
    assert fit_temperature(3 * calm, labels) == pytest.approx(3, rel=0.05)


def test_temperature_has_the_least_log_loss() -> None:
    rng = np.random.default_rng(4)
    labels, weights = rng.integers(2, size=200), rng.integers(1, 5, 200)
    logits = rng.normal(0, 4, (200, 2)) + 2 * np.eye(2)[labels]

    def loss(log_t: np.ndarray) -> float:
        return float(log_loss(labels, softmax(logits / np.exp(log_t[0]), axis=1), sample_weight=weights))

    best = minimize(loss, [1.0], method="Nelder-Mead").fun
    assert loss(np.log([fit_temperature(logits, labels, weights)])) == pytest.approx(best, abs=1e-5)


def test_a_few_images_that_are_all_right_do_not_make_a_network_sure_of_itself() -> None:
    assert fit_temperature([[5.0, -5.0], [-5.0, 5.0]], [0, 1]) == 1


def test_temperature_refuses_what_it_cannot_fit() -> None:
    with pytest.raises(ValueError, match="at least one"):
        fit_temperature(np.zeros((0, 2)), [])
    with pytest.raises(ValueError, match="finite"):
        fit_temperature([[np.nan, 0.0]], [0])


def test_threshold_is_midway_and_nearest_to_a_half() -> None:
    assert choose_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9]) == pytest.approx(0.4)
    # Cutting at 0.15 or at 0.75 is equally good; 0.75 is nearer to 0.5.
    assert choose_threshold([0, 1, 0, 1], [0.1, 0.2, 0.7, 0.8]) == pytest.approx(0.75)
    assert choose_threshold([0, 1], [0.3, 0.3]) == 0.5
    with pytest.raises(ValueError, match="both classes"):
        choose_threshold([1, 1], [0.2, 0.3])


def test_no_other_threshold_is_better() -> None:
    rng = np.random.default_rng(5)
    y, w = rng.integers(2, size=200), rng.integers(1, 4, size=200)
    p = np.round(np.clip(rng.normal(0.3 + 0.2 * y, 0.2), 0, 1), 2)
    found = balanced_accuracy_score(y, p >= choose_threshold(y, p, w), sample_weight=w)
    every = [balanced_accuracy_score(y, p >= t, sample_weight=w) for t in np.linspace(0.005, 0.995, 100)]
    assert found == pytest.approx(max(every))


def test_bins_have_about_equal_counts_and_the_right_shares() -> None:
    p = np.linspace(0, 1, 200)
    happened = np.arange(200) % 4 == 0
    bins = quantile_bins(p, happened)
    assert [b["count"] for b in bins] == [20] * 10
    for i, b in enumerate(bins):
        rows = slice(20 * i, 20 * i + 20)
        assert b["predicted"] == pytest.approx(p[rows].mean())
        assert b["observed"] == pytest.approx(happened[rows].mean())
        # Wilson's formula, written out
        n, share, z = 20, b["observed"], 1.959964
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        assert b["observed_low"] == pytest.approx(middle - half, abs=1e-6)
        assert b["observed_high"] == pytest.approx(middle + half, abs=1e-6)


def test_few_images_have_few_quantile_bins_and_none_have_none() -> None:
    assert len(quantile_bins(np.linspace(0, 1, 25), np.ones(25, bool))) == 2
    assert len(quantile_bins([0.3], [True])) == 1
    assert quantile_bins([], []) == []


def test_equal_probabilities_are_in_one_bin() -> None:
    p = np.array([0.2] * 150 + [0.9] * 50)
    bins = quantile_bins(p, p > 0.5)
    assert [(b["low"], b["high"], b["count"]) for b in bins] == [(0.2, 0.2, 150), (0.9, 0.9, 50)]


def test_weights_are_images() -> None:
    once = quantile_bins(np.repeat([0.2, 0.8], 30), np.repeat([False, True], 30))
    weighted = quantile_bins([0.2, 0.8], [False, True], [30, 30])
    for one, other in zip(weighted, once, strict=True):
        assert one == pytest.approx(other)
