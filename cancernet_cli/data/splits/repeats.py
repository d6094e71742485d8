"""Repeated divisions into folds, since figures of a single division depend on which patients share a fold."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cancernet_cli.core.arrays import I64, Strings
from cancernet_cli.data.splits.folds import patient_folds


def repeated_folds(labels: ArrayLike, patients: ArrayLike, first: ArrayLike, repeats: int, seed: int) -> list[I64]:
    """A fold for each image in each of several divisions, grouped by patient.

    If every patient has images of one class only, drawn folds have the same number of patients of each class, up to
    one; otherwise they are stratified by image as in `patient_folds`.

    Args:
        labels: `[N]` int. patients: `[N]` names. first: `[N]`, the first division. repeats: how many divisions.

    Returns:
        `first` and `repeats - 1` drawn divisions with as many folds, each `[N]` int and a function of the seed.

    Raises:
        InputError: as `patient_folds`.
    """
    y, groups, given = np.asarray(labels, dtype=np.int64), np.asarray(patients), np.asarray(first, dtype=np.int64)
    folds = len(np.unique(given))
    seeds = [int(np.random.SeedSequence([seed, r, 1]).generate_state(1)[0]) for r in range(1, repeats)]
    return [given, *(_stratified_folds(y, groups, folds, one) for one in seeds)]


def _stratified_folds(labels: I64, patients: Strings, folds: int, seed: int) -> I64:
    names, first, at = np.unique(patients, return_index=True, return_inverse=True)
    of_patient = labels[first]
    has_one_label = bool((of_patient[at] == labels).all())
    if has_one_label and np.bincount(of_patient).max() >= folds:
        return patient_folds(of_patient, names.tolist(), folds, seed)[at]
    return patient_folds(labels, patients.tolist(), folds, seed)
