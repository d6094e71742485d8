"""Dice, and the cut that makes it highest."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from cancernet_cli.metrics.overlap import (
    best_cut,
    dice,
    dice_by_patient,
    mean_of_patients,
    overlap_counts,
    overlap_counts_at,
)

CUTS = (0.25, 0.5, 0.75)


def pixels(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities `[20, 30]` that mean what they say, and truth."""
    random = np.random.default_rng(seed)
    probs = random.beta(0.4, 1.6, (20, 30)).astype(np.float32)
    return probs, random.random(probs.shape) < probs


def test_dice_is_the_f1_score_of_all_pixels() -> None:
    each = [pixels(seed) for seed in range(3)]
    counts = [overlap_counts(probs >= 0.5, truth) for probs, truth in each]
    probs, truth = (np.concatenate([image[i].ravel() for image in each]) for i in (0, 1))
    assert dice(counts) == pytest.approx(f1_score(truth, probs >= 0.5))
    assert dice([(0, 0, 0)]) == 1


def test_dice_by_patient_pools_a_patients_images() -> None:
    found = dice_by_patient([(1, 2, 2), (2, 2, 2), (0, 1, 1)], ["a", "a", "b"])
    assert found["by_patient"] == {"a": 0.75, "b": 0.0}
    assert found["mean_of_patients"]["value"] == 0.375
    assert found["dice"] == {"value": 0.6, "images": 3, "patients": 2, "lowest_patient": 0.0, "highest_patient": 0.75}


def test_the_mean_of_patients_has_an_interval_that_narrows_with_their_number() -> None:
    few, many = (mean_of_patients([0.7, 0.8, 0.9] * times) for times in (2, 40))
    assert few["value"] == many["value"] == 0.8
    assert few["low"] < many["low"] < 0.8 < many["high"] < few["high"]
    assert few["interval_units"] == 6
    assert mean_of_patients([0.7]) == {"value": 0.7}


def test_counts_at_several_cuts_are_those_of_each() -> None:
    probs, truth = pixels(0)
    probs[0, :3] = CUTS  # a probability equal to the cut is inside
    expected = [overlap_counts(probs >= cut, truth) for cut in CUTS]
    assert overlap_counts_at(probs, truth, CUTS).tolist() == [list(row) for row in expected]
    nothing = overlap_counts_at(np.zeros((2, 2), np.float32), np.zeros((2, 2), bool), CUTS)
    assert nothing.tolist() == [[0, 0, 0]] * 3


def test_the_best_cut_lies_at_half_of_the_dice_it_reaches() -> None:
    cuts = tuple(np.linspace(0.02, 0.98, 49).round(2).tolist())
    counts = np.stack([overlap_counts_at(*pixels(seed), cuts) for seed in range(200)])
    cut = best_cut(counts, cuts)
    assert cut == pytest.approx(dice(counts[:, cuts.index(cut)]) / 2, abs=0.04)


def test_of_equally_good_cuts_the_one_nearest_to_a_half_is_taken() -> None:
    assert best_cut(np.array([[(3, 4, 4)] * 3]), CUTS) == 0.5
