"""Assigns images to folds, or to train, val and test."""

from __future__ import annotations

import numpy as np

from cancernet_cli.core.arrays import I64, Strings
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Reporter, Warn, silent
from cancernet_cli.core.options import LearningOptions
from cancernet_cli.data.splits.folds import check_classes, draw_split, patient_folds, with_validation
from cancernet_cli.data.splits.given_splits import GivenSplit


def assign_splits(
    labels: I64,
    groups: Strings,
    classes: tuple[str, ...],
    given: GivenSplit | None,
    options: LearningOptions,
    report: Reporter = silent,
) -> tuple[I64, Strings | None]:
    """A fold for each of N images and, with a single split, its part; as given, or drawn by group.

    Args:
        labels: `[N]` class indices. groups: `[N]` names of what a drawn split keeps together.

    Returns:
        `[N]` folds, and `[N]` of train, val and test, or None for a cross-validation.

    Raises:
        InputError: groups are too few, or a part of the given split is missing.
    """
    if given is not None and given.column == "fold":
        folds = given.values.astype(np.int64)
        check_classes(labels, folds)
        return folds, None
    if given is not None:
        splits = _completed(labels, groups, classes, given.values, options, report)
        return np.where(splits == "test", 0, 1), splits
    if alone := [name for k, name in enumerate(classes) if len(np.unique(groups[labels == k])) < 2]:
        raise InputError(
            f"the patients of class {alone[0]} share pictures, so they cannot be put on two sides",
            fix="remove the copies, or correct the patients",
        )
    if options.folds == 1:
        splits = draw_split(labels, groups, options.test_share, options.validation_share, options.seed)
        return np.where(splits == "test", 0, 1), splits
    for k, name in enumerate(classes):
        if (count := len(np.unique(groups[labels == k]))) < options.folds:
            report(Warn(f"class {name} has {count} patients, so some of the {options.folds} folds do not test it"))
    return patient_folds(labels, groups.tolist(), options.folds, options.seed), None


def _completed(
    labels: I64,
    groups: Strings,
    classes: tuple[str, ...],
    splits: Strings,
    options: LearningOptions,
    report: Reporter,
) -> Strings:
    """A given split, with a validation part drawn if it has none.

    Raises:
        InputError: there is no test part, or a class is missing from the training part.
    """
    if not (splits == "test").any():
        raise InputError("no row has split 'test'", fix="add one, or pass --resplit to have the split drawn")
    if (splits == "val").any():
        found = splits
    else:
        found = with_validation(labels, groups, splits, options.validation_share, options.seed)
    for part in ("train", "val", "test"):
        missing = [name for k, name in enumerate(classes) if not (found[labels == k] == part).any()]
        if missing and part == "train":
            raise InputError(f"no image of class {missing[0]} has split 'train'", fix="correct the split column")
        if missing and (found == part).any():
            report(Warn(f"no image of class {missing[0]} has split {part!r}"))
    return found
