"""No patient on both sides."""

from __future__ import annotations

import numpy as np
import pytest

from cancernet_cli.core.errors import InputError
from cancernet_cli.data.splits import check_folds, held_out_patients, patient_folds

PATIENTS = [f"p{i // 4}" for i in range(48)]
LABELS = np.array([(i // 4) % 2 for i in range(48)])


def test_a_patient_has_one_fold_and_every_fold_both_classes() -> None:
    folds = patient_folds(LABELS, PATIENTS, 3, seed=0)
    for patient in set(PATIENTS):
        assert len({f for f, p in zip(folds, PATIENTS, strict=True) if p == patient}) == 1
    assert all(set(LABELS[folds == fold]) == {0, 1} for fold in range(3))


def test_the_seed_decides() -> None:
    assert np.array_equal(patient_folds(LABELS, PATIENTS, 3, 5), patient_folds(LABELS, PATIENTS, 3, 5))
    assert any(
        not np.array_equal(patient_folds(LABELS, PATIENTS, 3, 0), patient_folds(LABELS, PATIENTS, 3, s)) for s in (1, 2)
    )


def test_a_given_fold_that_shares_a_patient_is_refused() -> None:
    with pytest.raises(
        InputError, match="patient p0 is in folds 0, 1: the figures would be worthless; give all images"
    ):
        check_folds(LABELS, PATIENTS, np.arange(48) % 2)


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(InputError, match=r"12 patients cannot be put into 13 folds; use --folds 12"):
        patient_folds(LABELS, PATIENTS, 13, 0)
    with pytest.raises(InputError, match="one label only"):
        patient_folds(np.zeros(4), ["a", "b", "c", "d"], 2, 0)
    with pytest.raises(InputError, match="class 1 has one patient"):
        patient_folds([0, 0, 1], ["a", "b", "c"], 2, 0)


def test_some_but_not_all_patients_are_held_out() -> None:
    assert len(held_out_patients(PATIENTS, 0.25, 0)) == 3
    assert held_out_patients(["a", "b"], 0.01, 0) < {"a", "b"}
    assert len(held_out_patients(["a", "b"], 0.99, 0)) == 1
    with pytest.raises(InputError, match="all images are of one patient"):
        held_out_patients(["a", "a"], 0.5, 0)
