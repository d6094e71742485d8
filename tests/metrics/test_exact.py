"""Exact one-sided bounds of figures of 0 and 1, against scipy's Clopper-Pearson interval and simulated cases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from cancernet_cli.core.figures import FIGURES, Figure
from cancernet_cli.metrics.exact import one_sided_bound
from cancernet_cli.metrics.intervals import measure_all
from cancernet_cli.metrics.resampling import Resampling
from cancernet_cli.metrics.scores import Scores


def figures(scores: Scores) -> dict[str, Figure]:
    return measure_all(FIGURES, scores, Resampling(50))


def bounds(figure: Figure) -> tuple[Any, ...]:
    assert figure.interval is not None
    return figure.interval.low, figure.interval.high, figure.interval.units, figure.interval.method


@pytest.mark.parametrize("n", [1, 10, 20, 204])
def test_the_bound_is_that_of_clopper_and_pearson(n: int) -> None:
    expected = binomtest(n, n, alternative="greater").proportion_ci(0.95, method="exact").low
    assert one_sided_bound(n) == pytest.approx(expected)


# Patients 0 to 3 are benign, 4 to 9 malignant, two images each
WHO = np.repeat(np.arange(10), 2)
TRUTH = (WHO >= 4).astype(int)


def test_perfect_figures_are_bounded_by_the_cases_behind_them() -> None:
    found = figures(Scores.of(TRUTH, 0.2 + 0.6 * TRUTH, patients=WHO))
    four, six, ten = (one_sided_bound(n) for n in (4, 6, 10))
    for name in ("auroc", "case_weighted_auroc", "balanced_accuracy", "case_weighted_balanced_accuracy"):
        assert bounds(found[name]) == (four, 1, 4, "exact"), name
    for name in ("recall", "case_weighted_recall", "precision"):
        assert bounds(found[name]) == (six, 1, 6, "exact"), name
    assert bounds(found["specificity"]) == (four, 1, 4, "exact")
    for name in ("accuracy", "recognition_rate"):
        assert bounds(found[name]) == (ten, 1, 10, "exact"), name
    assert found["auroc"].text() == "1.00 (at least 0.47)"
    assert found["mcc"].interval.method == "bootstrap"  # not a proportion: no such bound


def test_a_figure_of_zero_is_bounded_from_above() -> None:
    found = figures(Scores.of(TRUTH, np.full(20, 0.2), patients=WHO))  # everything is called benign
    assert bounds(found["recall"]) == (0, pytest.approx(1 - one_sided_bound(6)), 6, "exact")
    assert found["recall"].text(to=" to ") == "0.00 (at most 0.39)"
    assert bounds(found["specificity"])[2:] == (4, "exact")
    assert found["accuracy"].interval.method == "bootstrap"


def test_images_bound_where_patients_are_unknown() -> None:
    found = figures(Scores.of([0, 1], [0.1, 0.9], counts=[3, 5]))
    assert found["recall"].interval.unit == "image"
    assert bounds(found["recall"])[2] == 5
    assert bounds(found["auroc"])[2] == 3
    assert found["recognition_rate"].interval is None or found["recognition_rate"].bounds is None


def test_a_mean_over_classes_has_the_bound_of_the_smallest() -> None:
    labels = np.array([0, 0, 1, 1, 1, 2, 2, 2, 2])
    found = figures(Scores.of(labels, np.eye(3)[labels], classes=("a", "b", "c"), patients=np.arange(9)))
    for name in ("auroc", "recall", "balanced_accuracy"):
        assert bounds(found[name])[2] == 2, name


def test_the_bound_of_an_auroc_holds_in_at_least_95_of_100_samples() -> None:
    """Cases whose true AUROC is just below the bound for four of the smaller class are perfect in at most 5 %."""
    rng = np.random.default_rng(0)
    limit, perfect, rounds = one_sided_bound(4) - 0.01, 0, 4000
    for _ in range(rounds):
        # A positive case is above every negative one with this probability, else below: the worst case for n = 4.
        above = rng.random(4) < limit
        perfect += above.all()
    assert perfect / rounds < 0.05
    # Normal scores of that AUROC, with 4 positive and 8 negative cases, are perfect less often still.
    shift = 2**0.5 * -0.09  # AUROC 0.465
    drawn = rng.normal(shift, 1, (rounds, 4)).min(axis=1) > rng.normal(0, 1, (rounds, 8)).max(axis=1)
    assert drawn.mean() < 0.05


def test_older_files_and_ordinary_figures_keep_their_text() -> None:
    assert Figure.from_json(
        {"value": 1.0, "count": 20, "low": 0.861, "high": 1.0, "interval_method": "exact"}
    ).text() == ("1.00 (at least 0.86)")
    assert Figure.from_json({"value": 0.9, "count": 20, "low": 0.8, "high": 1.0}).text() == "0.90 (0.80-1.00)"


def test_perfect_figures_of_the_covered_are_bounded_by_the_covered_cases() -> None:
    unsure = np.isin(WHO, (0, 1, 9))  # 2 benign and 5 malignant cases are left
    scores = replace(Scores.of(TRUTH, 0.2 + 0.6 * TRUTH, patients=WHO), unsure=unsure)
    found = figures(scores)
    for name in ("covered_accuracy", "covered_recall", "covered_specificity"):
        assert bounds(found[name]) == (pytest.approx(one_sided_bound(2)), 1.0, 2, "exact")
    nothing = figures(replace(scores, unsure=np.ones(len(WHO), bool)))
    assert nothing["covered_accuracy"].bounds is None
