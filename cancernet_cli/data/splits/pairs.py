"""Image/mask pairs: the training data of a segmenter."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from cancernet_cli.core.arrays import I64, Pixels
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.records import Failure
from cancernet_cli.data.discovery.tables import TextTable
from cancernet_cli.data.loading.each import in_workers
from cancernet_cli.data.loading.limits import FileLimits
from cancernet_cli.data.readers import UnreadableImage, read_image
from cancernet_cli.data.slides.kinds import kind_of
from cancernet_cli.data.splits.folds import SPLITS, grouped_folds, split_across
from cancernet_cli.data.splits.given_splits import fold_number

T = TypeVar("T")

COLUMNS = ("image", "mask", "patient", "split", "fold")


@dataclass(frozen=True)
class Pair:
    """An image file, its mask file, their patient, and their split and fold if given (else "" and None)."""

    image: Path
    mask: Path
    patient: str
    split: str = ""
    fold: int | None = None


def list_pairs(data: Sequence[str], *, check_split: bool = True, timeout_s: float = FileLimits.timeout_s) -> list[Pair]:
    """The pairs in CSV or Parquet manifests with columns image, mask, patient and, optionally, split or fold.

    Paths are relative to the manifest's folder; a folder means the `manifest.csv` in it.

    Args:
        check_split: refuse a patient in two splits; off with --resplit or --allow-leak.
        timeout_s: longest time to find out whether a file is a slide.

    Raises:
        InputError: a manifest is missing, has no such column or value, or has a patient in two splits; or a file is a
            slide.
    """
    found: list[Pair] = []
    _refuse_slides([Path(name) for name in data], timeout_s)
    for name in data:
        file = Path(name) / "manifest.csv" if Path(name).is_dir() else Path(name)
        table = TextTable(file, COLUMNS)
        if missing := [column for column in COLUMNS[:3] if column not in table.columns]:
            raise InputError(
                f"{file} has no column {missing[0]!r}",
                fix="the columns are image,mask,patient and, optionally, split or fold",
            )
        for line, row in table:
            if empty := [column for column in COLUMNS[:3] if row[column] is None]:
                raise InputError(f"{table.where(line)} has no {empty[0]}", fix="fill it in, or remove the row")
            split = str(row.get("split") or "")
            if split and split not in SPLITS:
                raise InputError(
                    f"{table.where(line)} has split {split!r}", fix=f"use {', '.join(SPLITS)}, or leave it empty"
                )
            fold = None if row.get("fold") is None else fold_number(row["fold"], table.where(line))
            image, mask = (file.parent / os.fsdecode(table.real_name(row[name])) for name in ("image", "mask"))
            found.append(Pair(image, mask, str(row["patient"]), split, fold))
    _refuse_slides([pair.image for pair in found], timeout_s)
    if not found:
        raise InputError("there is no image with a mask", fix="give a manifest with columns image,mask,patient")
    if check_split and any(pair.split for pair in found):
        _check_split(found)
    return found


def pair_folds(
    pairs: Sequence[Pair], folds: int, seed: int, *, resplit: bool = False, groups: Sequence[str] | None = None
) -> I64:
    """A fold for each of N pairs, grouped by patient: the manifest's column `fold`, or drawn.

    Args:
        resplit: draw them even if the manifest has them.
        groups: N names of what is kept together; default: the patients.

    Raises:
        InputError: only some pairs have a fold, or there are fewer patients than folds.
    """
    given = [pair.fold for pair in pairs]
    if not resplit and any(fold is not None for fold in given):
        if None in given:
            raise InputError(
                f"{given.count(None)} of {len(given)} rows have no fold",
                fix="fill in the column, or pass --resplit to have the folds drawn",
            )
        return np.array(given, dtype=np.int64)
    units = np.asarray([pair.patient for pair in pairs] if groups is None else groups)
    return grouped_folds(np.zeros(len(pairs), np.int64), units, folds, seed)


def read_pair(pair: Pair, *, max_pixels: int) -> tuple[Pixels, Pixels]:
    """The image `[H, W, 3]` uint8 RGB and its mask `[H, W]` uint8, 0 or 255.

    Mask values of at least half the maximum are foreground, so that both 0/1 and 0/255 files work.

    Raises:
        InputError: a file cannot be read, or the sizes differ.
    """
    try:
        image, mask = (read_image(os.fsencode(p.absolute()), max_pixels=max_pixels) for p in (pair.image, pair.mask))
    except UnreadableImage as error:
        raise InputError(f"{pair.image} or its mask: {error.failure}", fix="repair it, or remove its row") from None
    if image.shape != mask.shape:
        raise InputError(
            f"{pair.image} has {image.shape[1]} x {image.shape[0]} pixels, its mask {mask.shape[1]} x {mask.shape[0]}",
            fix="make the mask the size of its image",
        )
    level = mask[..., 0]
    return image, np.where(level >= max(1, int(level.max()) / 2), np.uint8(255), np.uint8(0))


def image_and_mask(image: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    """Both as they were read, for `read_pairs`."""
    return image, mask


@dataclass(frozen=True)
class _PairReader(Generic[T]):
    max_pixels: int
    then: Callable[[Pixels, Pixels], T]

    def __call__(self, pair: Pair) -> T:
        return self.then(*read_pair(pair, max_pixels=self.max_pixels))


def read_pairs(
    pairs: Sequence[Pair], limits: FileLimits, then: Callable[[Pixels, Pixels], T], *, workers: int = 0
) -> Iterator[T]:
    """`then(image, mask)` of each pair, in order, read in workers.

    Args:
        then: a function of a module, or a partial of one.

    Raises:
        InputError: as `read_pair`; or it took too long or too much memory, or crashed its reader.
    """
    made = in_workers(_PairReader(limits.max_pixels, then), pairs, limits, workers=workers)
    for pair, one in zip(pairs, made, strict=True):
        if isinstance(one, Failure):
            raise InputError(f"{pair.image} or its mask: {one}", fix="repair it, or remove its row")
        yield one


def _refuse_slides(files: Sequence[Path], timeout_s: float) -> None:
    there = [file for file in files if file.is_file()]
    kinds = in_workers(kind_of, [os.fsencode(file) for file in there], FileLimits(timeout_s))
    for file, kind in zip(there, kinds, strict=True):
        if kind == "slide":  # whatever is wrong with others, reading them says it
            raise InputError(
                f"{file} is a slide, and a U-Net is trained on images with masks",
                fix="cut images with `cancernet tile --images`, and list the annotated ones",
            )


def _check_split(pairs: list[Pair]) -> None:
    if split := split_across([pair.patient for pair in pairs], [pair.split for pair in pairs]):
        raise InputError(
            f"{len(split)} patients are in several splits ({', '.join([*split][:5])}): the figures would be worthless",
            fix="give all images of a patient the same split, or pass --resplit, or --allow-leak to continue anyway",
        )
    missing = {"train", "test"} - {pair.split for pair in pairs}
    if missing:
        raise InputError(
            f"no row has split {min(missing)!r}", fix="add one, or remove the column to have the split drawn"
        )
