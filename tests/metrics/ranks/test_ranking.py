"""The shortcuts for very many images give the figures of the exact computation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from cancernet_cli.core.figures import Figure
from cancernet_cli.metrics import scores as scores_module
from cancernet_cli.metrics.groups import grouped_metrics
from cancernet_cli.metrics.ranks.ranking import Ranking, area, average_precision
from cancernet_cli.metrics.resampling import Resampling
from cancernet_cli.metrics.scores import Scores


def many(classes: int, images: int = 3000) -> Scores:
    """Images of 12 patients of very different sizes, with ties among the probabilities."""
    rng = np.random.default_rng(classes)
    who = rng.choice(12, images, p=np.arange(1, 13) / 78)
    labels = who % classes
    probs = np.round(rng.dirichlet(np.ones(classes), images) + 0.6 * np.eye(classes)[labels], 3)
    probs /= probs.sum(axis=1, keepdims=True)
    return Scores.of(
        labels,
        probs,
        classes=[f"c{k}" for k in range(classes)],
        patients=who,
        slides=who * 2 + rng.integers(0, 2, images),
        magnifications=rng.choice([40.0, 100.0], images),
        patient_names=[f"p{i}" for i in range(12)],
    )


def figures_below(found: Any, at: str = "") -> dict[str, Figure]:
    if isinstance(found, Figure):
        return {at: found}
    items = found.items() if isinstance(found, dict) else ()
    return {name: figure for key, value in items for name, figure in figures_below(value, f"{at}/{key}").items()}


@pytest.mark.parametrize("classes", [2, 3])
def test_shortcuts_give_the_same_figures(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scores, resampling = many(classes), Resampling(100)
    exact = grouped_metrics(scores, resampling=resampling)
    monkeypatch.setattr(scores_module, "MANY_IMAGES", 0)
    quick = grouped_metrics(many(classes), resampling=resampling)
    first, second = figures_below(exact), figures_below(quick)
    assert first.keys() == second.keys()
    for name, figure in first.items():
        assert second[name].value == pytest.approx(figure.value, abs=1e-12), name
        assert second[name].count == figure.count
        if figure.bounds is not None:
            assert second[name].bounds == pytest.approx(figure.bounds, abs=1e-4), name
    plain = ("count", "labels", "patients", "confusion", "reliability")
    assert {name: exact["images"][name] for name in plain} == {name: quick["images"][name] for name in plain}
    assert exact["by_patient"]["patients"] == quick["by_patient"]["patients"]


def test_areas_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    labels, weights = rng.integers(0, 2, 500) == 1, rng.uniform(0.1, 2, 500)
    probs = np.round(rng.normal(labels, 1.0), 1)
    masses = Ranking.of(probs).masses(labels, weights)
    assert float(area(*masses)) == pytest.approx(roc_auc_score(labels, probs, sample_weight=weights), abs=1e-12)
    expected = average_precision_score(labels, probs, sample_weight=weights)
    assert average_precision(*masses) == pytest.approx(expected, abs=1e-12)


def test_merged_levels_keep_the_order() -> None:
    values = np.random.default_rng(0).random(1000)
    means, at = Ranking.of(values).merged(10)
    assert len(means) == 10
    assert (np.diff(means) > 0).all()
    assert np.bincount(at).tolist() == [100] * 10
    assert values[at == 3].max() < values[at == 4].min()
    assert len(Ranking.of(np.array([0.5, 0.5])).merged(10)[0]) == 1


def test_a_ranking_is_that_of_numpy_and_so_is_that_of_a_part() -> None:
    scores = np.random.default_rng(0).integers(0, 40, 500) / 40
    chosen = np.arange(500) % 3 == 0
    for found, of in ((Ranking.of(scores), scores), (Ranking.of(scores).where(chosen), scores[chosen])):
        values, at = np.unique(of, return_inverse=True)
        assert found.values.tolist() == values.tolist()
        assert found.at.tolist() == at.tolist()
    assert len(Ranking.of(np.zeros(0)).values) == 0


def test_a_part_of_ranked_images_has_the_figures_of_the_same_images_alone() -> None:
    ranked, alone = many(2), many(2)
    ranked.ranking(1)
    chosen = ranked.patients < 7
    assert ranked.where(chosen).ranking(1).values.tolist() == alone.where(chosen).ranking(1).values.tolist()
    assert ranked.case_weighted.ranking(1) is ranked.ranking(1)
