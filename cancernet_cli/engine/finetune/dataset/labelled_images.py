"""The labelled images that a classifier is trained on, and what a training returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from torch import nn

from cancernet_cli.core.arrays import F64, I64, Bools, Strings
from cancernet_cli.core.cards import Domain
from cancernet_cli.core.events import Note, Reporter, Warn, silent
from cancernet_cli.core.options import LearningOptions
from cancernet_cli.core.options.shared.patient_pattern import EXAMPLE
from cancernet_cli.core.records import Epoch, Failure, FoundFile
from cancernet_cli.data.splits.duplicates import Fingerprint
from cancernet_cli.data.splits.folder_splits import split_of_folders
from cancernet_cli.data.splits.folds import SplitPart, check_patients, fold_parts, split_part
from cancernet_cli.data.splits.given_splits import GivenSplit, read_given
from cancernet_cli.engine.finetune.dataset.leaks import guard, refuse_split_patients
from cancernet_cli.engine.finetune.dataset.listing import DataSource, labelled_files, open_source
from cancernet_cli.engine.finetune.dataset.reading import read_fingerprints
from cancernet_cli.engine.finetune.dataset.slides import UNKNOWN_SLIDE, SlideCutter, TileFacts
from cancernet_cli.engine.finetune.dataset.splitting import assign_splits


@dataclass(frozen=True, kw_only=True)
class UnsplitImages:
    """N images in path order, before they are read and split.

    labels: `[N]` class indices. patients: `[N]` names; an image of an unknown patient counts as a patient, and is
    marked in `unknown_patients` `[N]`. slides: `[N]`, empty where unknown. magnifications: `[N]`, NaN where unknown.
    tiles: facts about the slides' tiles; None if there are none. given: the split from a manifest or label file.
    """

    files: list[FoundFile]
    classes: tuple[str, ...]
    labels: I64
    patients: Strings
    unknown_patients: Bools
    slides: Strings
    magnifications: F64
    tiles: TileFacts | None = None
    given: GivenSplit | None = None

    @property
    def known_patients(self) -> int:
        """How many patients are known by name; a slide of an unknown patient is none."""
        known = set(self.patients[~self.unknown_patients].tolist())
        return sum(not name.startswith(UNKNOWN_SLIDE) for name in known)

    @property
    def unit(self) -> str:
        """The unit that a split keeps together, for the card."""
        slides = any(name.startswith(UNKNOWN_SLIDE) for name in set(self.patients.tolist()))
        unknown = [name for name, has in (("image", self.unknown_patients.any()), ("slide", slides)) if has]
        others = " or ".join(unknown)
        if not others:
            return "patient"
        return f"patient, or {others} where unknown" if self.known_patients else others


@dataclass(frozen=True, kw_only=True)
class LabelledImages(UnsplitImages):
    """N images with their split.

    groups: `[N]`, the unit that a split keeps together: patients, or those that share a picture.
    folds: `[N]`, for a cross-validation; with a single split 0 is the test part and 1 the rest.
    splits: `[N]` of train, val and test, or None for a cross-validation.
    leaks: a sentence for each way in which the given split leaks; every figure derived from it carries them.
    """

    groups: Strings
    folds: I64
    splits: Strings | None = None
    leaks: tuple[str, ...] = ()

    def only(self, rows: ArrayLike) -> LabelledImages:
        """The images of these row numbers, in their order."""
        chosen = np.asarray(rows, dtype=np.int64)
        arrays: dict[str, Any] = {k: v[chosen] for k, v in vars(self).items() if isinstance(v, np.ndarray)}
        return replace(self, files=[self.files[i] for i in chosen], **arrays)


@dataclass(frozen=True)
class Division:
    """Out-of-fold predictions of one division into folds.

    folds: `[N]`. logits: `[N, K]` of every image by weights that were not trained on its fold.
    """

    folds: I64
    logits: F64


@dataclass(frozen=True)
class TrainingOutcome:
    """The result of a training.

    images: those that could be read. logits: `[N, K]` of every image by weights that were not trained on it, NaN
    elsewhere. classifier: the trained network. others: figures of the other segmenters that were measured, by name.
    domain: the card's section about what the images look like. repeats: further divisions of the images into folds.
    """

    images: LabelledImages
    logits: F64
    classifier: nn.Module
    history: list[Epoch]
    others: dict[str, Any] = field(default_factory=dict)
    domain: Domain = field(default_factory=Domain)
    repeats: tuple[Division, ...] = ()

    @property
    def divisions(self) -> tuple[Division, ...]:
        """Every division into folds, that of `images` first."""
        return (Division(self.images.folds, self.logits), *self.repeats)


def list_images(
    data: Sequence[str], options: LearningOptions, report: Reporter, cutter: SlideCutter | None = None
) -> LabelledImages:
    """Every labelled image under `data`, read once to look for duplicates, and split by patient.

    Raises:
        InputError: no image is left, a class has no image or only one patient, or the given split leaks.
        OptionError: --classes or --magnification is invalid.
    """
    images = list_unsplit(open_source(data, options), options, report, cutter)
    return split_images(images, read_fingerprints([f.location for f in images.files], options, report), options, report)


def list_unsplit(
    source: DataSource, options: LearningOptions, report: Reporter, cutter: SlideCutter | None = None
) -> UnsplitImages:
    """Every labelled image of the source; with a cutter, slides too, as tiles. No image is decoded.

    A column `fold` or `split` of a manifest or label file sets the split (`split` is preferred with --folds 1), or
    else folders with such names; without them, or with --resplit, it is drawn. Errors that the patients alone reveal
    are raised here.

    Raises:
        InputError, OptionError: as `list_images`.
    """
    listing = labelled_files(source, options, report, cutter)
    files, classes = listing.files, listing.classes
    labels = np.array([classes.index(str(file.truth.label)) for file in files], dtype=np.int64)
    unknown = np.array([file.truth.patient is None for file in files])
    if unknown.any():
        count = f"{unknown.sum()} of {len(files)} images"
        report(
            Warn(
                f"the patient of {count} is unknown: each counts as a separate patient, so the split is by image and "
                f"may leak; if paths name the patient, pass --patient-pattern, such as {EXAMPLE}"
            )
        )
    patients = np.array([file.truth.patient or f"image {file.path}" for file in files])
    check_patients(labels, patients, classes)
    given = None
    if not options.resplit:

        def warn(message: str) -> None:
            report(Warn(message))

        prefer: Literal["split", "fold"] = "split" if options.folds == 1 else "fold"
        given = read_given(source.lists, source.base, listing.sources, prefer=prefer)
        if given is None and (given := split_of_folders(source.base, listing.sources, prefer=prefer, on_problem=warn)):
            sides = ", ".join(sorted(set(given.sides.tolist())))
            report(Note(f"the split is that of the folders ({sides}); --resplit draws another"))
    if given is not None:
        refuse_split_patients(patients, given.sides, options)
    assign_splits(labels, patients, classes, given, options)  # fails now rather than after hours
    return UnsplitImages(
        files=files,
        classes=classes,
        labels=labels,
        patients=patients,
        unknown_patients=unknown,
        slides=np.array([file.truth.slide or "" for file in files]),
        magnifications=np.array([file.truth.magnification or np.nan for file in files], dtype=np.float64),
        tiles=listing.tiles,
        given=given,
    )


def split_images(
    images: UnsplitImages, prints: Sequence[Fingerprint | Failure | None], options: LearningOptions, report: Reporter
) -> LabelledImages:
    """Split the images so that no patient and no picture is on two sides.

    Args:
        prints: the fingerprint of each image; anything else for one that cannot be read.

    Raises:
        InputError: the given split leaks, or patients that share pictures leave too few to split.
    """
    given = images.given
    guarded = guard(
        prints,
        [file.path for file in images.files],
        images.patients,
        None if given is None else given.sides,
        options,
        report,
        labels=[images.classes[k] for k in images.labels],
    )
    folds, splits = assign_splits(images.labels, guarded.groups, images.classes, given, options, report)
    return LabelledImages(**vars(images), groups=guarded.groups, folds=folds, splits=splits, leaks=guarded.leaks)


def split_parts(images: LabelledImages, options: LearningOptions, report: Reporter = silent) -> list[SplitPart]:
    """The rows to train, validate and test on: one part per fold, or the single split as `holdout`.

    Of each fold's other images about --validation-share of each class's patients validate; where a class has too few
    patients for that, nothing does, and a warning is reported.
    """
    if images.splits is not None:
        found = [split_part("holdout", images.splits)]
    else:
        found = fold_parts(images.labels, images.groups, images.folds, options.validation_share, options.seed)
    if without := [part.name for part in found if len(part.validate) == 0]:
        report(Warn(f"a class has too few patients for a validation part in {', '.join(without)}"))
    return found
