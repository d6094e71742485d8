"""Images with masks: what a segmenter learns from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cancernet_cli.core.errors import InputError
from cancernet_cli.data.readers import UnreadableImage, read_image
from cancernet_cli.data.tables import TextTable

COLUMNS = ("image", "mask", "patient", "split")
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Pair:
    """An image file, its mask file, whose they are, and the split they were put into (empty when into none)."""

    image: Path
    mask: Path
    patient: str
    split: str = ""


def list_pairs(data: Sequence[str]) -> list[Pair]:
    """The pairs of CSV or Parquet manifests with columns image, mask, patient and, if they are split, split.

    Paths are relative to the manifest's folder; a folder stands for the `manifest.csv` in it.

    Raises:
        InputError: a manifest is missing, lacks a column or a value, or puts a patient into two splits.
    """
    found: list[Pair] = []
    for name in data:
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
            found.append(Pair(file.parent / row["image"], file.parent / row["mask"], str(row["patient"]), split))
    if not found:
        raise InputError("no image with a mask was given", fix="give a manifest with image,mask,patient")
    if any(pair.split for pair in found):
        _check_split(found)
    return found


def read_pair(pair: Pair, *, max_pixels: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
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


def _check_split(pairs: list[Pair]) -> None:
    splits: dict[str, set[str]] = {}
    for pair in pairs:
        splits.setdefault(pair.patient, set()).add(pair.split)
    if torn := sorted(patient for patient, names in splits.items() if len(names) > 1):
        raise InputError(
            f"{len(torn)} patients are in more than one split ({', '.join(torn[:5])})",
            fix="give all images of a patient the same split",
        )
    missing = {"train", "test"} - {pair.split for pair in pairs}
    if missing:
        raise InputError(f"no row has split {min(missing)!r}", fix="fill the column, or leave it out to have one drawn")
