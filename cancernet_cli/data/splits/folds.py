"""Splits by patient: folds, and train, validation and test parts. No patient is ever in two of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold, StratifiedKFold

from cancernet_cli.core.arrays import I64, Bools, Strings
from cancernet_cli.core.errors import InputError

SPLITS = ("train", "val", "test")
_ATTEMPTS = 5


@dataclass(frozen=True)
class SplitPart:
    """Disjoint row numbers of one training and its test; `validate` may be empty.

    name: `fold_0` and so on, or `holdout`.
    """

    name: str
    train: I64
    validate: I64
    test: I64


def patient_folds(labels: ArrayLike, patients: Sequence[str], folds: int, seed: int) -> I64:
    """A fold for each image, grouped by patient and stratified by class as far as patients allow.

    Args:
        labels: `[N]` int. patients: N names.

    Returns:
        `[N]` int, 0 to `folds - 1`; a patient is in one fold, and the complement of each fold has every class.

    Raises:
        InputError: a class has fewer than two patients, or there are fewer patients than folds.
    """
    y, groups = np.asarray(labels, dtype=np.int64), np.asarray(patients)
    check_patients(y, groups)
    found = grouped_folds(y, groups, folds, seed)
    for attempt in range(1, _ATTEMPTS):
        if not _incomplete(y, found):
            break
        found = grouped_folds(y, groups, folds, _another(seed, attempt))
    check_classes(y, found)
    return found


def grouped_folds(labels: I64, patients: Strings, folds: int, seed: int) -> I64:
    """A fold for each image, grouped by patient and stratified by class; a fold may have no image of a class.

    Raises:
        InputError: there are fewer patients than folds.
    """
    count = len(np.unique(patients))
    if count < folds:
        raise InputError(
            f"{count} patients cannot be split into {folds} folds", fix=f"use --folds {max(2, count)} or fewer"
        )
    # If each image is its own patient, the plain splitter does the same in a fraction of the time.
    alone = count == len(patients)
    splitter = (StratifiedKFold if alone else StratifiedGroupKFold)(folds, shuffle=True, random_state=seed)
    found = np.full(len(labels), -1, dtype=np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # it counts images; we count patients
        try:
            for fold, (_, rows) in enumerate(splitter.split(labels, labels, None if alone else patients)):
                found[rows] = fold
        except ValueError:  # every class has fewer images than folds
            most = int(np.bincount(labels).max())
            raise InputError(
                f"no class has {folds} images, one for each of {folds} folds",
                fix=f"use --folds {max(2, most)} or fewer",
            ) from None
    return found


def held_out(labels: ArrayLike, patients: ArrayLike, share: float, seed: int) -> Bools | None:
    """Which images to hold out: about `share` of each class's patients, with every class on both sides.

    The share consists of whole folds of `StratifiedGroupKFold`, such as 1 of 5 for 0.2, or of fewer and larger folds if
    a class would be on one side only.

    Returns:
        `[N]` bool, or None if there are too few patients.
    """
    y, groups = np.asarray(labels, dtype=np.int64), np.asarray(patients)
    pairs = np.unique(np.stack([y, np.unique(groups, return_inverse=True)[1]]), axis=1)
    fewest = np.unique(pairs[0], return_counts=True)[1].min() if len(y) else 0
    if fewest < 2:
        return None
    for most in dict.fromkeys((min(20, len(np.unique(groups))), fewest, 2)):
        parts = Fraction(share).limit_denominator(int(most))
        of = parts.denominator if 0 < parts < 1 else int(most)
        count = min(max(1, round(share * of)), of - 1)
        for attempt in range(_ATTEMPTS):
            try:
                folds = grouped_folds(y, groups, of, _another(seed, attempt))
            except InputError:
                break
            windows = [np.isin(folds, (np.arange(count) + start) % of) for start in range(of)]
            windows = [rows for rows in windows if not _incomplete(y, rows)]
            if windows:
                return min(windows, key=lambda rows: _deviation(y, groups, rows, share))
    return None


def draw_split(
    labels: ArrayLike, patients: ArrayLike, test_share: float, validation_share: float, seed: int
) -> Strings:
    """`train`, `val` or `test` for each image, grouped by patient and stratified by class.

    Args:
        test_share: of all patients. validation_share: of the patients outside the test part; if they are too few,
            nothing is `val`.

    Raises:
        InputError: there are too few patients to have every class inside and outside the test part.
    """
    y, groups = np.asarray(labels, dtype=np.int64), np.asarray(patients)
    check_patients(y, groups)
    test = held_out(y, groups, test_share, seed)
    if test is None:
        raise InputError(
            "no split by patient has every class on both sides",
            fix="add images of more patients, or use fewer --classes",
        )
    return with_validation(y, groups, np.where(test, "test", "train"), validation_share, seed)


def with_validation(labels: ArrayLike, patients: ArrayLike, splits: Strings, share: float, seed: int) -> Strings:
    """The splits with about `share` of the patients of `train` moved to `val`; unchanged if they are too few."""
    y, groups = np.asarray(labels, dtype=np.int64), np.asarray(patients)
    rows = np.flatnonzero(splits == "train")
    chosen = held_out(y[rows], groups[rows], share, seed)
    found = splits.astype("<U5")
    if chosen is not None:
        found[rows[chosen]] = "val"
    return found


def fold_parts(
    labels: ArrayLike, patients: ArrayLike, folds: ArrayLike, validation_share: float, seed: int
) -> list[SplitPart]:
    """One part per fold: the fold is the test, the rest is split by patient into `train` and `validate`."""
    numbers, found = np.asarray(folds), []
    for fold in np.unique(numbers).tolist():
        splits = np.where(numbers == fold, "test", "train")
        found.append(split_part(f"fold_{fold}", with_validation(labels, patients, splits, validation_share, seed)))
    return found


def split_part(name: str, splits: Strings) -> SplitPart:
    """A part from a split into train, val and test."""
    train, validate, test = (np.flatnonzero(splits == one) for one in SPLITS)
    return SplitPart(name, train, validate, test)


def split_across(patients: ArrayLike, sides: ArrayLike) -> dict[str, list[str]]:
    """The patients, or other groups, that are on more than one side of a split, in order, each with its sides."""
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    places, side = np.unique(np.asarray(sides), return_inverse=True)
    pairs = np.unique(np.stack([patient, side]), axis=1)
    split = np.flatnonzero(np.bincount(pairs[0], minlength=len(names)) > 1)
    return {str(names[i]): [str(places[j]) for j in pairs[1][pairs[0] == i]] for i in split}


def check_classes(labels: I64, folds: I64) -> None:
    """Check that the complement of each fold has every class.

    Raises:
        InputError: one is missing.
    """
    if incomplete := _incomplete(labels, folds):
        raise InputError(
            f"without fold {incomplete[0]} a class has no image left", fix="use other folds or more patients"
        )


def check_patients(labels: I64, patients: ArrayLike, classes: Sequence[str] = ()) -> None:
    """Check that every class has two patients or more.

    Args:
        classes: their names, for messages.

    Raises:
        InputError: there is only one class, or one has a single patient.
    """
    groups = np.asarray(patients)
    present = np.unique(labels).tolist()
    if len(present) < 2:
        raise InputError("all images have the same label", fix="add images of another class")
    names = {k: classes[k] if classes else str(k) for k in present}
    alone = [k for k in present if len(np.unique(groups[labels == k])) < 2]
    if not alone:
        return
    others = [names[k] for k in present if k not in alone]
    who = f"class {names[alone[0]]} has one patient, so it"
    if len(alone) > 1:
        who = f"classes {', '.join(names[k] for k in alone)} have one patient each, so they"
    fix = "add images of more patients"
    if classes and len(others) > 1:
        fix += f", or omit {'it' if len(alone) == 1 else 'them'}: --classes {','.join(others)}"
    raise InputError(f"{who} cannot be trained on one and tested on another", fix=fix)


def held_out_patients(patients: Sequence[str], share: float, seed: int) -> set[str]:
    """About `share` of the patients, drawn with the seed; at least one, and not all.

    Raises:
        InputError: there is only one patient.
    """
    names = sorted(set(patients))
    if len(names) < 2:
        raise InputError(f"all images are of one patient ({names[0]})", fix="add images of another patient")
    splitter = GroupShuffleSplit(1, test_size=min(max(1, round(share * len(names))), len(names) - 1), random_state=seed)
    _, chosen = next(splitter.split(names, groups=names))
    return {names[i] for i in chosen}


def _incomplete(labels: I64, sides: NDArray[np.generic]) -> list[object]:
    """The sides whose complement has no image of some class."""
    count = len(np.unique(labels))
    return [side for side in np.unique(sides).tolist() if len(np.unique(labels[sides != side])) < count]


def _deviation(labels: I64, patients: Strings, rows: Bools, share: float) -> float:
    """Mean deviation of the classes' held-out shares of patients from the requested one."""
    shares = []
    for label in np.unique(labels):
        everyone = np.unique(patients[labels == label])
        shares.append(len(np.unique(patients[(labels == label) & rows])) / len(everyone))
    return float(np.abs(np.array(shares) - share).mean())


def _another(seed: int, attempt: int) -> int:
    """The seed itself first, then others derived from it."""
    return seed if attempt == 0 else int(np.random.SeedSequence([seed, attempt]).generate_state(1)[0])
