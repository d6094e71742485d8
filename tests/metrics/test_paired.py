"""Two classifiers on the same images."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cancernet_cli.core.figures import FIGURES
from cancernet_cli.metrics.intervals import clustered_bootstrap, paired_bootstrap
from cancernet_cli.metrics.paired import compare_scores, mcnemar
from cancernet_cli.metrics.resampling import Design, Resampling
from cancernet_cli.metrics.scores import Scores

AUROC = [spec for spec in FIGURES if spec.name == "auroc"]


def scores(shift: float, *, seed: int = 0, noise: float = 0.15, unknown: bool = False) -> Scores:
    """200 images of 20 patients that `shift` pulls apart; the seed gives the noise, the patients stay."""
    who = np.arange(200) % 20
    y = who % 2
    quirk = np.random.default_rng(99).normal(0, 0.15, 20)[who]
    p = np.clip(0.5 + shift * (y - 0.5) + quirk + np.random.default_rng(seed).normal(0, noise, 200), 0, 1)
    return Scores.of(y, p, patients=np.full(200, -1) if unknown else who)


def test_mcnemar_by_hand() -> None:
    this = [True] * 5 + [True] * 1 + [False] * 9 + [False] * 2
    other = [True] * 5 + [False] * 1 + [True] * 9 + [False] * 2
    found = mcnemar(this, other)
    counts = {"both_right": 5, "only_this_right": 1, "only_other_right": 9, "both_wrong": 2}
    # of 10 discordant images, 1 or fewer on one side: (1 + 10) / 1024, twice for both sides
    assert found == {**counts, "p_value": pytest.approx(22 / 1024)}
    assert mcnemar([True, False], [True, False])["p_value"] == 1.0


def test_against_itself_there_is_no_difference() -> None:
    found = compare_scores(scores(0.3), scores(0.3), Resampling())
    for entry in found["differences"].values():
        assert (entry["value"], entry["low"], entry["high"]) == (0, 0, 0)
        assert entry["verdict"] == "unclear"
    assert found["mcnemar"]["p_value"] == 1.0
    assert (found["images"], found["patients"]) == (200, 20)
    json.dumps(found, allow_nan=False)


def test_a_plain_difference_is_found_in_both_directions() -> None:
    good, poor = scores(0.5), scores(0.05, seed=1)
    found = compare_scores(good, poor, Resampling())
    auroc = found["differences"]["auroc"]
    expected = [roc_auc_score(one.labels, one.probs[:, 1]) for one in (good, poor)]
    assert [auroc["this"], auroc["other"]] == pytest.approx(expected)
    assert auroc["value"] == pytest.approx(expected[0] - expected[1])
    assert auroc["low"] < auroc["value"] < auroc["high"]
    assert {entry["verdict"] for entry in found["differences"].values()} == {"this"}
    assert found["mcnemar"]["p_value"] < 1e-6
    back = compare_scores(poor, good, Resampling())
    assert {entry["verdict"] for entry in back["differences"].values()} == {"other"}
    assert back["differences"]["auroc"]["low"] == pytest.approx(-auroc["high"])
    rate = found["differences"]["recognition_rate"]
    assert rate["count"] == 20
    assert rate["this"] == pytest.approx(good.right.mean())  # ten images a patient


def test_equals_the_plain_loop_over_the_same_resamples() -> None:
    a, b = scores(0.3), scores(0.2, seed=1)
    differences = []
    for weights in Design.of(a).weights(Resampling(100, seed=5), 100):
        for w in weights.astype(int):
            rows = np.concatenate([np.flatnonzero(a.patients == i) for i in range(20) for _ in range(w[i])])
            differences.append(np.subtract(*(roc_auc_score(s.labels[rows], s.probs[rows, 1]) for s in (a, b))))
    found = paired_bootstrap(AUROC, a, b, Resampling(100, seed=5))["auroc"]
    assert [found.low, found.high] == pytest.approx(np.quantile(differences, [0.025, 0.975]))
    assert (found.unit, found.units, found.resamples) == ("patient", 20, 100)


def test_pairing_is_narrower_than_two_intervals() -> None:
    a, b = scores(0.2, noise=0.02), scores(0.2, seed=1, noise=0.02)
    alone = clustered_bootstrap(AUROC, a, Resampling())["auroc"]
    pair = compare_scores(a, b, Resampling())["differences"]["auroc"]
    assert alone.low is not None
    assert alone.high is not None
    assert pair["high"] - pair["low"] < (alone.high - alone.low) / 2


def test_without_patients_images_are_drawn_and_there_is_no_rate() -> None:
    found = compare_scores(scores(0.3, unknown=True), scores(0.2, seed=1, unknown=True), Resampling())
    assert found["differences"]["auroc"]["interval_unit"] == "image"
    rate = found["differences"]["recognition_rate"]
    assert (rate["value"], rate["verdict"]) == (None, "unknown")
    assert rate["reason"] == "the patients of the images are unknown"


def test_one_class_has_no_auroc_to_compare_scores() -> None:
    one = Scores.of([1, 1, 1, 1], [0.2, 0.6, 0.7, 0.8], patients=[0, 0, 1, 1])
    found = compare_scores(one, one, Resampling())["differences"]
    assert found["auroc"]["reason"] == "only one class among the true labels"
    assert found["auroc"]["verdict"] == "unknown"
    assert found["accuracy"]["value"] == 0
