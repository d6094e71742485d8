"""Fitting novelty: equal cases, Mahalanobis distance, and a limit that holds for unseen cases."""

from __future__ import annotations

import numpy as np
import pytest

from cancernet_cli.training import novelty
from cancernet_cli.training.novelty import case_weights, fit_novelty, novelty_limit


def names(counts: list[int]) -> np.ndarray:
    return np.repeat([f"case {i}" for i in range(len(counts))], counts)


def test_every_case_has_the_same_weight() -> None:
    cases = names([9, 1])
    np.testing.assert_allclose(case_weights(cases), [1 / 18] * 9 + [1 / 2])
    features = np.repeat([[[0.0]], [[1.0]]], [9, 1], axis=0)
    assert fit_novelty(features, cases).center == pytest.approx([0.5])


def test_is_the_mahalanobis_distance_if_there_are_many_images() -> None:
    rng = np.random.default_rng(0)
    mixing = np.array([[2.0, 0, 0], [1, 0.5, 0], [0, 0.3, 0.8]])
    features = (rng.normal(size=(4000, 3)) @ mixing.T + [5, -3, 0])[:, None]
    model = fit_novelty(features, names([1] * 4000))
    seen = rng.normal(size=(20, 3)) * 3
    center, inverse = features[:, 0].mean(axis=0), np.linalg.inv(np.cov(features[:, 0].T))
    expected = [np.sqrt((x - center) @ inverse @ (x - center) / 3) for x in seen]
    np.testing.assert_allclose(model.novelty(seen[:, None]), expected, rtol=0.05)


def test_directions_beyond_the_rank_share_one_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 1, 10))
    features += 3 * rng.normal(size=(500, 1, 1))
    cases = names([5] * 100)
    whole = fit_novelty(features, cases)
    monkeypatch.setattr(novelty, "RANK", 1)
    small = fit_novelty(features, cases)
    assert (whole.axes.shape, small.axes.shape, whole.floor) == ((10, 10), (10, 1), 0.0)
    assert small.floor > 0
    # One strong direction, the rest nearly equal: little is lost.
    assert np.corrcoef(whole.novelty(features), small.novelty(features))[0, 1] > 0.95


def test_a_constant_feature_and_a_single_image_are_no_obstacle() -> None:
    features = np.array([[[1.0, 5.0]], [[2.0, 5.0]], [[4.0, 5.0]]])
    assert np.isfinite(fit_novelty(features, names([1, 1, 1])).novelty(features)).all()
    assert np.isfinite(fit_novelty(features[:1], names([1])).novelty(features)).all()


def test_the_limit_holds_for_an_unseen_case_on_average() -> None:
    rng = np.random.default_rng(0)
    beyond = []
    for _ in range(400):
        level = rng.normal(size=41)
        counts = rng.integers(1, 30, 41)
        scores = np.exp(np.repeat(level, counts) + 0.3 * rng.normal(size=counts.sum()))
        cases = names(counts.tolist())
        unseen = cases == "case 40"
        limit = novelty_limit(scores[~unseen], cases[~unseen], 0.05)
        beyond.append((scores[unseen] > limit).mean())
    assert np.mean(beyond) <= 0.05
    assert np.mean(beyond) > 0.02  # and is not needlessly wide


def test_with_few_cases_the_limit_is_the_largest_novelty() -> None:
    scores = np.array([1.0, 4.0, 2.0])
    assert novelty_limit(scores, names([1, 1, 1]), 0.05) == 4.0


def test_dividing_by_the_limit_divides_novelty() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(50, 2, 4))
    model = fit_novelty(features, names([1] * 50))
    np.testing.assert_allclose(model.limited(2.5).novelty(features), model.novelty(features) / 2.5)
