"""Repeated divisions into folds: grouped, stratified by patient, different from each other and the same again."""

from __future__ import annotations

import numpy as np
import pytest

from cancernet_cli.core.errors import InputError
from cancernet_cli.data.splits.repeats import repeated_folds

# 10 benign and 20 malignant patients; the first has a third of all images.
PATIENTS = np.repeat([f"p{i:02}" for i in range(30)], [60, *[4] * 29])
LABELS = (np.char.lstrip(PATIENTS, "p").astype(int) >= 10).astype(int)
FIRST = np.char.lstrip(PATIENTS, "p").astype(int) % 5


def per_fold(folds: np.ndarray, label: int) -> list[int]:
    return [len(np.unique(PATIENTS[(folds == fold) & (label == LABELS)])) for fold in range(5)]


def test_the_first_is_as_given_and_the_others_are_drawn_by_patient() -> None:
    divisions = repeated_folds(LABELS, PATIENTS, FIRST, 4, seed=0)
    assert divisions[0].tolist() == FIRST.tolist()
    assert len({tuple(folds.tolist()) for folds in divisions}) == 4
    for folds in divisions:
        assert all(len(np.unique(folds[name == PATIENTS])) == 1 for name in np.unique(PATIENTS))
    for folds in divisions[1:]:  # stratified by patient, although one has a third of the images
        assert per_fold(folds, 0) == [2] * 5
        assert per_fold(folds, 1) == [4] * 5


def test_the_seed_decides_and_more_repeats_keep_the_earlier_ones() -> None:
    three, five, other = (
        repeated_folds(LABELS, PATIENTS, FIRST, repeats, seed) for repeats, seed in ((3, 7), (5, 7), (3, 8))
    )
    assert [folds.tolist() for folds in three] == [folds.tolist() for folds in five[:3]]
    assert three[1].tolist() != other[1].tolist()


def test_patients_with_images_of_both_classes_and_rare_classes_can_be_divided() -> None:
    both = np.arange(len(PATIENTS)) % 2
    rare = np.where(LABELS == 0, np.where(FIRST == 0, 0, 2), 1)  # two patients of class 0, eight of class 2
    for labels in (both, rare):
        for folds in repeated_folds(labels, PATIENTS, FIRST, 3, seed=0)[1:]:
            assert set(folds) == set(range(5))
            for fold in range(5):
                assert set(labels[folds != fold]) == set(labels)


def test_one_division_is_the_given_one_even_where_none_could_be_drawn() -> None:
    labels, patients = np.array([0, 0, 1]), np.array(["a", "b", "c"])
    assert len(repeated_folds(labels, patients, [0, 1, 0], 1, seed=0)) == 1
    with pytest.raises(InputError):
        repeated_folds(labels, patients, [0, 1, 0], 2, seed=0)
