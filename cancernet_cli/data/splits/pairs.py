"""Images with masks: what a segmenter learns from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cancernet_cli.core.arrays import I64, Pixels
from cancernet_cli.core.errors import InputError
from cancernet_cli.data.discovery.tables import TextTable
from cancernet_cli.data.readers import UnreadableImage, read_image
from cancernet_cli.data.slides.kinds import kind_of
from cancernet_cli.data.splits.folds import SPLITS, grouped_folds
from cancernet_cli.data.splits.given_splits import fold_number

COLUMNS = ("image", "mask", "patient", "split", "fold")


@dataclass(frozen=True)
class Pair:
    """An image file, its mask file, whose they are, and the split and fold they were put into (none: empty, None)."""

    image: Path
    mask: Path
    patient: str
    split: str = ""
    fold: int | None = None


def list_pairs(data: Sequence[str], *, check_split: bool = True) -> list[Pair]:
    """The pairs of CSV or Parquet manifests with columns image, mask, patient and, if they are split, split or fold.

    Paths are relative to the manifest's folder; a folder stands for the `manifest.csv` in it.

    Args:
        check_split: refuse a patient in two splits; not so for one who wants another split, or to go on with a leak.

    Raises:
        InputError: a manifest is missing, lacks a column or a value, or puts a patient into two splits; or something is
            a slide.
    """
    found: list[Pair] = []
    for name in data:
        _refuse_slide(Path(name))
        file = Path(name) / "manifest.csv" if Path(name).is_dir() else Path(name)
        table = TextTable(file, COLUMNS)
        if missing := [column for column in COLUMNS[:3] if column not in table.columns]:
            raise InputError(
                f"{file} has no column {missing[0]!r}", fix="give image,mask,patient and, if wanted, split"
            )
        for line, row in table:
            if empty := [column for column in COLUMNS[:3] if not row[column]]:
                raise InputError(f"{table.where(line)} has no {empty[0]}", fix="fill it in, or remove the row")
            split = str(row.get("split") or "")
            if split and split not in SPLITS:
                raise InputError(f"{table.where(line)} has split {split!r}", fix=f"use {', '.join(SPLITS)} or nothing")
            fold = None if row.get("fold") is None else fold_number(row["fold"], table.where(line))
            image, mask = file.parent / row["image"], file.parent / row["mask"]
            _refuse_slide(image)
            found.append(Pair(image, mask, str(row["patient"]), split, fold))
    if not found:
        raise InputError("no image with a mask was given", fix="give a manifest with image,mask,patient")
    if check_split and any(pair.split for pair in found):
        _check_split(found)
    return found


def pair_folds(
    pairs: Sequence[Pair], folds: int, seed: int, *, resplit: bool = False, groups: Sequence[str] | None = None
) -> I64:
    """A fold for each of N pairs, patients whole: the manifest's column `fold`, or drawn.

    Args:
        resplit: draw them even where the manifest has them.
        groups: N names of what must not be torn; default: the patients.

    Raises:
        InputError: some pairs have a fold and some have none, or there are fewer patients than folds.
    """
    given = [pair.fold for pair in pairs]
    if not resplit and any(fold is not None for fold in given):
        if None in given:
            raise InputError(
                f"{given.count(None)} of {len(given)} rows have no fold",
                fix="fill the column in, or pass --resplit to have the folds drawn",
            )
        return np.array(given, dtype=np.int64)
    units = np.asarray([pair.patient for pair in pairs] if groups is None else groups)
    return grouped_folds(np.zeros(len(pairs), np.int64), units, folds, seed)


def read_pair(pair: Pair, *, max_pixels: int) -> tuple[Pixels, Pixels]:
    """The image `[H, W, 3]` uint8 RGB and its mask `[H, W]` uint8, 0 or 255.

    A mask file's values count as inside from half of its greatest value on, so 0/1 and 0/255 files both do.

    Raises:
        InputError: one cannot be read, or they differ in size.
    """
    try:
        image, mask = (read_image(os.fsencode(p.absolute()), max_pixels=max_pixels) for p in (pair.image, pair.mask))
    except UnreadableImage as error:
        raise InputError(f"{pair.image} or its mask: {error.failure}", fix="mend it, or remove its row") from None
    if image.shape != mask.shape:
        raise InputError(
            f"{pair.image} has {image.shape[1]} x {image.shape[0]} pixels, its mask {mask.shape[1]} x {mask.shape[0]}",
            fix="give the mask the size of its image",
        )
    level = mask[..., 0]
    return image, np.where(level >= max(1, int(level.max()) / 2), np.uint8(255), np.uint8(0))


def _refuse_slide(file: Path) -> None:
    if file.is_file() and kind_of(os.fsencode(file)) == "slide":
        raise InputError(
            f"{file} is a slide, and a U-Net learns from images with masks",
            fix="cut images with `cancernet tile --images`, and list those whose nuclei you have drawn",
        )


def _check_split(pairs: list[Pair]) -> None:
    splits: dict[str, set[str]] = {}
    for pair in pairs:
        splits.setdefault(pair.patient, set()).add(pair.split)
    if torn := sorted(patient for patient, names in splits.items() if len(names) > 1):
        raise InputError(
            f"{len(torn)} patients are in more than one split ({', '.join(torn[:5])}): the figures would be worthless",
            fix="give all images of a patient the same split, or pass --resplit, or --allow-leak to go on all the same",
        )
    missing = {"train", "test"} - {pair.split for pair in pairs}
    if missing:
        raise InputError(f"no row has split {min(missing)!r}", fix="fill the column, or leave it out to have one drawn")
