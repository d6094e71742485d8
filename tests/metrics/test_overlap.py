"""Dice, and the cut that makes it highest."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from cancernet_cli.metrics.overlap import (
    best_cut,
    dice,
    dice_by_patient,
    label_overlap,
    mean_of_patients,
    overlap_counts,
    overlap_counts_at,
    overlap_summary,
    overlap_values,
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


def test_figures_of_nuclei_by_hand() -> None:
    truth = np.zeros((10, 20), np.int32)
    truth[0:4, 0:4] = 1  # found exactly
    truth[0:4, 10:14] = 2  # half of it found
    truth[6:10, 0:4] = 3  # missed
    labels = np.zeros_like(truth)
    labels[0:4, 0:4] = 9
    labels[0:4, 12:14] = 4
    labels[8:10, 15:17] = 7  # of nothing
    overlap = label_overlap(labels, truth)
    assert sorted(overlap.ious.tolist()) == [0.5, 1.0]
    values = overlap_values(overlap)
    assert values["dice"] == 2 * 24 / (28 + 48)
    assert values["jaccard"] == 24 / (28 + 48 - 24)
    assert values["aji"] == 24 / (16 + 16 + 16 + 4)
    assert values["pq"] == 1.0 / 3  # an IoU of 0.5 is no match; 3 true and 3 found


def test_aji_counts_an_unused_nucleus_once() -> None:
    truth = np.ones((4, 4), np.int32)
    labels = np.ones((4, 4), np.int32)
    labels[:, 3] = 2
    assert overlap_values(label_overlap(labels, truth))["aji"] == 12 / (16 + 4)


def test_empty_masks_agree_and_any_nucleus_on_one_side_does_not() -> None:
    none, some = np.zeros((4, 4), np.int32), np.ones((4, 4), np.int32)
    assert set(overlap_values(label_overlap(none, none)).values()) == {1.0}
    assert set(overlap_values(label_overlap(none, some)).values()) == {0.0}
    assert set(overlap_values(label_overlap(some, none)).values()) == {0.0}


def test_patients_weigh_the_same_whatever_their_number_of_images() -> None:
    values = {"dice": [0.5, 0.5, 0.5, 0.9]}
    found = overlap_summary(values, [10, 12, 8, 20], [10, 10, 10, 30], ["a", "a", "a", "b"])
    dice = found["figures"]["dice"]
    assert dice["images"] == 0.6
    assert dice["patients"]["value"] == 0.7
    assert dice["patients"]["low"] == 0.5
    assert dice["by_patient"] == {"a": 0.5, "b": 0.9}
    assert found["counts"]["mean_error"] == -2.5
    assert found["counts"]["mean_absolute_error"] == 3.5
    assert found["counts"]["correlation"] > 0.9
