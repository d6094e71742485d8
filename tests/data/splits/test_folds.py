"""No patient on both sides."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from cancernet_cli.core.errors import InputError
from cancernet_cli.data.splits.folds import (
    SplitPart,
    check_classes,
    check_patients,
    draw_split,
    fold_parts,
    held_out,
    held_out_patients,
    patient_folds,
    split_across,
    split_part,
)

PATIENTS = [f"p{i // 4}" for i in range(48)]
LABELS = np.array([(i // 4) % 2 for i in range(48)])


def random_data(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and patients of very different numbers; some patients have images of two classes."""
    random = np.random.default_rng(seed)
    classes, count = int(random.integers(2, 6)), int(random.integers(4, 40))
    label = np.concatenate([np.arange(classes).repeat(2), random.integers(0, classes, count)])
    patients = np.repeat(np.arange(len(label)), random.integers(1, 12, len(label)))
    labels = label[patients]
    odd = random.random(len(labels)) < random.choice([0, 0.1])
    labels[odd] = random.integers(0, classes, odd.sum())
    order = random.permutation(len(labels))
    return labels[order], np.array([f"p{p}" for p in patients])[order]


def check_part(part: SplitPart, patients: np.ndarray, everything: int) -> None:
    sides = [part.train, part.validate, part.test]
    assert sorted(np.concatenate(sides).tolist()) == list(range(everything))
    names = [set(patients[rows].tolist()) for rows in sides]
    assert sum(map(len, names)) == len(set.union(*names))


@pytest.mark.parametrize("seed", range(30))
def test_no_patient_is_ever_on_two_sides(seed: int) -> None:
    labels, patients = random_data(seed)
    folds = patient_folds(labels, patients.tolist(), 2 + seed % 3, seed)
    parts = fold_parts(labels, patients, folds, 0.1 + 0.1 * (seed % 5), seed)
    assert [part.name for part in parts] == [f"fold_{k}" for k in range(2 + seed % 3)]
    assert sorted(np.concatenate([part.test for part in parts]).tolist()) == list(range(len(labels)))
    parts.append(split_part("holdout", draw_split(labels, patients, 0.05 + 0.1 * (seed % 8), 0.3, seed)))
    assert len(parts[-1].test) > 0
    for part in parts:
        check_part(part, patients, len(labels))
        assert set(labels[part.train]) == set(labels)
        assert len(part.validate) == 0 or set(labels[part.validate]) == set(labels)


def test_a_patient_has_one_fold_and_every_fold_both_classes() -> None:
    folds = patient_folds(LABELS, PATIENTS, 3, seed=0)
    assert split_across(PATIENTS, folds) == {}
    assert all(set(LABELS[folds == fold]) == {0, 1} for fold in range(3))


def test_the_seed_decides() -> None:
    assert np.array_equal(patient_folds(LABELS, PATIENTS, 3, 5), patient_folds(LABELS, PATIENTS, 3, 5))
    assert any(
        not np.array_equal(patient_folds(LABELS, PATIENTS, 3, 0), patient_folds(LABELS, PATIENTS, 3, s)) for s in (1, 2)
    )
    drawn = [draw_split(LABELS, PATIENTS, 0.2, 0.2, seed).tolist() for seed in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1]
    assert drawn[2] != drawn[0] or drawn[3] != drawn[0]


def test_a_class_of_two_patients_is_outside_of_every_fold() -> None:
    """With this seed the first draw put both into one fold, and the run was refused."""
    patients = [f"p{i}" for i in range(12) for _ in range(3)]
    labels = np.array([int(i >= 10) for i in range(12) for _ in range(3)])
    for seed in range(20):
        check_classes(labels, patient_folds(labels, patients, 3, seed))


@pytest.mark.parametrize(("share", "expected"), [(0.2, 20), (0.25, 25), (0.3, 30), (0.5, 50), (0.8, 80), (0.05, 5)])
def test_the_share_is_met_in_each_class(share: float, expected: int) -> None:
    patients = np.array([f"p{i // 2}" for i in range(400)])
    labels = np.repeat([0, 1], 200)
    rows = held_out(labels, patients, share, 0)
    assert rows is not None
    for label in (0, 1):
        assert abs(len(set(patients[rows & (labels == label)])) - expected) <= 1


def test_a_share_that_leaves_out_a_class_gives_way() -> None:
    """Eight classes of two patients: the only test with all of them takes half."""
    labels = np.repeat(np.arange(8), 6)
    patients = np.array([f"p{i // 3}" for i in range(48)])
    rows = held_out(labels, patients, 0.1, 0)
    assert rows is not None
    assert set(labels[rows]) == set(labels[~rows]) == set(range(8))


def test_too_few_patients_give_no_validation_part() -> None:
    labels, patients = [0, 0, 0, 1, 1], ["a", "b", "c", "d", "e"]
    assert held_out([0, 0, 1], ["a", "b", "c"], 0.2, 0) is None
    assert held_out([], [], 0.2, 0) is None
    splits = draw_split(labels, patients, 0.2, 0.2, 0)
    assert set(splits) == {"train", "test"}
    assert all(len(part.validate) == 0 for part in fold_parts(labels, patients, [0, 0, 1, 0, 1], 0.2, 0))


def test_each_image_a_patient_of_its_own_is_quick() -> None:
    labels = np.arange(20_000) % 2
    folds = patient_folds(labels, [str(i) for i in range(20_000)], 5, 0)
    assert np.bincount(folds).tolist() == [4000] * 5


def test_scikit_learns_remarks_do_not_come_through() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        patient_folds([0, 0, 1, 1, 1, 1], list("abcdef"), 4, 0)


def test_patients_on_several_sides_come_with_their_sides() -> None:
    assert split_across(["a", "a", "b", "c", "c"], ["train", "test", "val", "val", "val"]) == {"a": ["test", "train"]}
    assert split_across(["a", "b", "a"], [0, 1, 2]) == {"a": ["0", "2"]}


def test_a_fold_that_holds_a_whole_class_is_refused() -> None:
    with pytest.raises(InputError, match="without fold 0 a class has no image left; use other folds or more patients"):
        check_classes(LABELS, LABELS)


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(InputError, match=r"12 patients cannot be split into 13 folds; use --folds 12"):
        patient_folds(LABELS, PATIENTS, 13, 0)
    with pytest.raises(InputError, match="all images have the same label; add images of another class"):
        patient_folds(np.zeros(4), ["a", "b", "c", "d"], 2, 0)
    with pytest.raises(InputError, match="class 1 has one patient"):
        patient_folds([0, 0, 1], ["a", "b", "c"], 2, 0)
    with pytest.raises(InputError, match="no class has 4 images, one for each of 4 folds; use --folds 3 or fewer"):
        patient_folds([0, 0, 1, 1, 1], list("abcde"), 4, 0)


def test_the_classes_that_can_be_learned_are_named() -> None:
    labels = np.array([0, 0, 1, 1, 2])
    with pytest.raises(InputError) as caught:
        check_patients(labels, list("abcde"), ("adenosis", "fibroadenoma", "lobular"))
    assert caught.value.message.startswith("class lobular has one patient")
    assert caught.value.fix == "add images of more patients, or omit it: --classes adenosis,fibroadenoma"


def test_several_classes_of_one_patient_are_named_together() -> None:
    with pytest.raises(InputError) as caught:
        check_patients(np.array([0, 0, 1, 1, 2, 3]), list("abcdef"), ("a", "b", "c", "d"))
    assert (
        caught.value.message
        == "classes c, d have one patient each, so they cannot be trained on one and tested on another"
    )
    assert caught.value.fix == "add images of more patients, or omit them: --classes a,b"


def test_some_but_not_all_patients_are_held_out() -> None:
    assert len(held_out_patients(PATIENTS, 0.25, 0)) == 3
    assert held_out_patients(["a", "b"], 0.01, 0) < {"a", "b"}
    assert len(held_out_patients(["a", "b"], 0.99, 0)) == 1
    with pytest.raises(InputError, match="all images are of one patient"):
        held_out_patients(["a", "a"], 0.5, 0)
