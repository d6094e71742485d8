"""The labelled images that a classifier learns from, with their patients and their split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from cancernet_cli.core.arrays import F64, I64, Bools, Strings
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Reporter, Warn, silent
from cancernet_cli.core.options import LearningOptions
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.discovery.inputs import resolve_base
from cancernet_cli.data.splits.folds import (
    Part,
    check_classes,
    check_patients,
    draw_split,
    fold_parts,
    patient_folds,
    split_part,
    with_validation,
)
from cancernet_cli.data.splits.given_splits import GivenSplit, read_given
from cancernet_cli.engine.finetune.dataset.leaks import guard
from cancernet_cli.engine.finetune.dataset.listing import labelled_files, lists_among
from cancernet_cli.engine.finetune.dataset.slides import SlideCutter, TileFacts


@dataclass(frozen=True)
class LabelledImages:
    """N images in path order.

    labels: `[N]`, index of the class. patients: `[N]` names; an image whose patient is unknown is its own, and
    `unknown_patients` `[N]` says of which that holds. slides: `[N]`, empty where unknown. magnifications: `[N]`, NaN
    where unknown.
    groups: `[N]`, what a split must not tear: patients, those that share a picture taken together.
    folds: `[N]`, for a cross-validation; with a single split 0 is the test and 1 what is learned from.
    splits: `[N]` of train, val and test, or None for a cross-validation.
    leaks: a sentence for each way in which the given split leaks; every figure made from it has to carry them.
    tiles: what is known of tiles of slides among them; None where there are none.
    """

    files: list[FoundFile]
    classes: tuple[str, ...]
    labels: I64
    patients: Strings
    unknown_patients: Bools
    slides: Strings
    magnifications: F64
    groups: Strings
    folds: I64
    splits: Strings | None = None
    leaks: tuple[str, ...] = ()
    tiles: TileFacts | None = None

    def only(self, rows: ArrayLike) -> LabelledImages:
        """The images of these row numbers, in their order."""
        chosen = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            files=[self.files[i] for i in chosen],
            labels=self.labels[chosen],
            patients=self.patients[chosen],
            unknown_patients=self.unknown_patients[chosen],
            slides=self.slides[chosen],
            magnifications=self.magnifications[chosen],
            groups=self.groups[chosen],
            folds=self.folds[chosen],
            splits=None if self.splits is None else self.splits[chosen],
        )


def list_images(
    data: Sequence[str], options: LearningOptions, report: Reporter, cutter: SlideCutter | None = None
) -> LabelledImages:
    """Every labelled image under `data`, split by patient; with a cutter, slides too, as tiles.

    A column `fold` or `split` of the lists among `data`, or of the label file, gives the split (`split` is preferred
    with --folds 1); without one, or with --resplit, the seed draws it.

    Raises:
        InputError: no image is left, a class has no image or one patient, or the given split leaks.
        OptionError: --classes or --magnification makes no sense.
    """
    listing = labelled_files(data, options, report, cutter)
    files, classes = listing.files, listing.classes
    labels = np.array([classes.index(str(file.truth.label)) for file in files], dtype=np.int64)
    unknown = np.array([file.truth.patient is None for file in files])
    if unknown.any():
        report(
            Warn(
                f"the patient of {unknown.sum()} of {len(files)} images is unknown: each counts as a patient of its own"
            )
        )
    patients = np.array([file.truth.patient or f"image {file.path}" for file in files])
    check_patients(labels, patients, classes)
    given = None if options.resplit else _given(data, listing.sources, options)
    guarded = guard(
        [file.location for file in files],
        [file.path for file in files],
        patients,
        None if given is None else _sides(given),
        options,
        report,
        labels=[classes[k] for k in labels],
    )
    folds, splits = _split(labels, patients, guarded.groups, classes, given, options, report)
    return LabelledImages(
        files=files,
        classes=classes,
        labels=labels,
        patients=patients,
        unknown_patients=unknown,
        slides=np.array([file.truth.slide or "" for file in files]),
        magnifications=np.array([file.truth.magnification or np.nan for file in files], dtype=np.float64),
        groups=guarded.groups,
        folds=folds,
        splits=splits,
        leaks=guarded.leaks,
        tiles=listing.tiles,
    )


def parts(images: LabelledImages, options: LearningOptions, report: Reporter = silent) -> list[Part]:
    """What is trained, validated and tested on: one part for each fold, or the single split as `holdout`.

    Of each fold's other images about --validation-share of each class's patients validate; where a class has too few
    patients for that, nothing does, and a warning says so.
    """
    if images.splits is not None:
        found = [split_part("holdout", images.splits)]
    else:
        found = fold_parts(images.labels, images.groups, images.folds, options.validation_share, options.seed)
    if without := [part.name for part in found if len(part.validate) == 0]:
        report(Warn(f"a class has too few patients for a validation part of its own in {', '.join(without)}"))
    return found


def _given(data: Sequence[str], sources: list[bytes], options: LearningOptions) -> GivenSplit | None:
    prefer: Literal["split", "fold"] = "split" if options.folds == 1 else "fold"
    return read_given(lists_among(data, options), resolve_base(data), sources, prefer=prefer)


def _sides(given: GivenSplit) -> Strings:
    return np.array([f"fold {value}" for value in given.values]) if given.column == "fold" else given.values


def _split(
    labels: I64,
    patients: Strings,
    groups: Strings,
    classes: tuple[str, ...],
    given: GivenSplit | None,
    options: LearningOptions,
    report: Reporter,
) -> tuple[I64, Strings | None]:
    """Folds and, for a single split, its parts; as given, or drawn by groups of patients."""
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
    """A given split, its validation part drawn where it has none.

    Raises:
        InputError: nothing tests, or a class has nothing to be learned from.
    """
    if not (splits == "test").any():
        raise InputError("no row has split 'test'", fix="fill the column, or pass --resplit to have the split drawn")
    if (splits == "val").any():
        found = splits
    else:
        found = with_validation(labels, groups, splits, options.validation_share, options.seed)
    for part in ("train", "val", "test"):
        missing = [name for k, name in enumerate(classes) if not (found[labels == k] == part).any()]
        if missing and part == "train":
            raise InputError(f"no image of class {missing[0]} has split 'train'", fix="correct the column split")
        if missing and (found == part).any():
            report(Warn(f"no image of class {missing[0]} has split {part!r}"))
    return found
