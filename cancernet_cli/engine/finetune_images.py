"""The labelled images that a classifier learns from, with their patients and folds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Reporter, Warn
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.discover import discover
from cancernet_cli.data.inputs import resolve_base
from cancernet_cli.data.splits import check_folds, check_patients, patient_folds
from cancernet_cli.data.tables import TextTable


@dataclass(frozen=True)
class LabelledImages:
    """N images in path order.

    labels: `[N]`, index of the class. patients: `[N]` names; an image whose patient is unknown is its own.
    magnifications: `[N]`, NaN where unknown. folds: `[N]`.
    """

    files: list[FoundFile]
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    patients: NDArray[np.str_]
    magnifications: NDArray[np.float64]
    folds: NDArray[np.int64]


def list_images(data: Sequence[str], options: FinetuneOptions, report: Reporter) -> LabelledImages:
    """Every labelled image under `data`, split into folds by patient.

    A single manifest with a column `fold` gives the folds; otherwise the seed draws them.

    Raises:
        InputError: no image has a label, a class is missing or has one patient, or the given folds share a patient.
    """
    classes = tuple(name.strip() for name in options.classes.split(",") if name.strip())
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise InputError(f"--classes is {options.classes!r}", fix="name two or more different labels, with commas")
    found = discover(
        data,
        base=resolve_base(data),
        labels=options.labels,
        classes=classes,
        on_problem=lambda message: report(Warn(message)),
    )
    once = {file.location: file for file in found if file.problem is None and file.truth.label is not None}
    files = sorted(once.values(), key=lambda file: file.path)
    if not files:
        raise InputError(
            "no image with a label was found", fix=f"sort them into folders {', '.join(classes)}, or label a list"
        )
    labels = np.array([classes.index(str(file.truth.label)) for file in files], dtype=np.int64)
    if missing := [name for k, name in enumerate(classes) if not (labels == k).any()]:
        raise InputError(f"no image is labelled {missing[0]!r}", fix="correct --classes or the labels")
    if unknown := sum(file.truth.patient is None for file in files):
        report(Warn(f"the patient of {unknown} of {len(files)} images is unknown: each counts as a patient of its own"))
    patients = np.array([file.truth.patient or f"image {file.path}" for file in files])
    check_patients(labels, patients)
    given = _given_folds(data, files)
    folds = patient_folds(labels, patients.tolist(), options.folds, options.seed) if given is None else given
    magnifications = np.array([file.truth.magnification or np.nan for file in files], dtype=np.float64)
    return LabelledImages(files, classes, labels, patients, magnifications, check_folds(labels, patients, folds))


def _given_folds(data: Sequence[str], files: list[FoundFile]) -> NDArray[np.int64] | None:
    manifest = Path(data[0])
    if len(data) != 1 or manifest.suffix.lower() not in (".csv", ".parquet") or not manifest.is_file():
        return None
    table = TextTable(manifest, ("path", "fold"))
    if "fold" not in table.columns:
        return None
    fold_of: dict[bytes, int] = {}
    for line, row in table:
        try:
            fold_of[os.fsencode(os.path.abspath(manifest.parent / str(row["path"])))] = int(row["fold"])
        except (TypeError, ValueError):
            raise InputError(
                f"{table.where(line)} has no whole number as fold", fix="fill the column, or leave it out"
            ) from None
    return np.array([fold_of[file.location] for file in files], dtype=np.int64)
