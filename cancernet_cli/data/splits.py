"""Who is learned from and who is tested on: never the same patient on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

from cancernet_cli.core.errors import InputError

Ints = NDArray[np.int64]


def patient_folds(labels: ArrayLike, patients: Sequence[str], folds: int, seed: int) -> Ints:
    """A fold for each image, patients whole and classes balanced as far as patients allow.

    Args:
        labels: `[N]` int. patients: N names.

    Returns:
        `[N]` int, 0 to `folds - 1`; images of one patient have one fold, and each class is outside of each fold.

    Raises:
        InputError: a class has fewer than two patients, or there are fewer patients than folds.
    """
    y = np.asarray(labels, dtype=np.int64)
    groups = np.asarray(patients)
    check_patients(y, groups)
    count = len(np.unique(groups))
    if count < folds:
        raise InputError(
            f"{count} patients cannot be put into {folds} folds", fix=f"use --folds {max(2, count)} or fewer"
        )
    found = np.full(len(y), -1, dtype=np.int64)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(y, y, groups)):
        found[held_out] = fold
    return check_folds(y, groups, found)


def check_folds(labels: Ints, patients: ArrayLike, folds: Ints) -> Ints:
    """The folds, once nothing is wrong with them.

    Raises:
        InputError: a patient is in two folds, or the images outside a fold lack a class.
    """
    groups = np.asarray(patients)
    for patient in np.unique(groups):
        if len(found := np.unique(folds[groups == patient])) > 1:
            raise InputError(
                f"patient {patient} is in folds {', '.join(map(str, found))}: the figures would be worthless",
                fix="give all images of a patient one fold, or leave the column out",
            )
    classes = np.unique(labels)
    for fold in np.unique(folds):
        if len(np.unique(labels[folds != fold])) < len(classes):
            raise InputError(f"without fold {fold} a class has no image left", fix="use other folds or more patients")
    return folds


def check_patients(labels: Ints, patients: ArrayLike) -> None:
    """Make sure that every class has two patients or more.

    Raises:
        InputError: there is one class only, or one has a single patient.
    """
    groups = np.asarray(patients)
    classes = np.unique(labels)
    if len(classes) < 2:
        raise InputError("the images have one label only", fix="give images of two classes or more")
    for label in classes:
        if len(np.unique(groups[labels == label])) < 2:
            raise InputError(
                f"class {label} has one patient, so it cannot be learned from one and tested on another",
                fix="give images of more patients",
            )


def held_out_patients(patients: Sequence[str], share: float, seed: int) -> set[str]:
    """About `share` of the patients, drawn by the seed; at least one, and not all.

    Raises:
        InputError: there is only one patient.
    """
    names = sorted(set(patients))
    if len(names) < 2:
        raise InputError(f"all images are of one patient ({names[0]})", fix="give images of two patients or more")
    splitter = GroupShuffleSplit(1, test_size=min(max(1, round(share * len(names))), len(names) - 1), random_state=seed)
    _, chosen = next(splitter.split(names, groups=names))
    return {names[i] for i in chosen}
