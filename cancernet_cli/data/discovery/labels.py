"""Labels and metadata of files, from their names, their folders, or a label file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.records import Truth
from cancernet_cli.data.discovery.breakhis import parse_breakhis
from cancernet_cli.data.discovery.label_file import LabelFile, LabelSource
from cancernet_cli.data.discovery.manifest import DEFAULT_RULE, LabelRule


class NameLabels(LabelSource):
    """Labels from BreakHis file names, from folders named after classes, or from both, the file name first.

    Patient, slide and magnification always come from a BreakHis name: files sorted into class folders still belong to
    their patients.
    """

    def __init__(self, base: Path, classes: Sequence[str], *, use_name: bool, use_folder: bool) -> None:
        self._base = os.fsencode(base)
        self._classes = {name.casefold(): name for name in classes}
        self._use_name, self._use_folder = use_name, use_folder
        self._folder_class = lru_cache(maxsize=1024)(self._class_of_folder)

    def truth(self, location: bytes) -> Truth:
        folder, name = os.path.split(location)
        known = parse_breakhis(os.fsdecode(name))
        label = None
        if known and self._use_name:
            label = self._classes.get(known.label) or self._classes.get(known.subtype)
        if label is None and self._use_folder:
            label = self._folder_class(folder)
        if known is None:
            return Truth(label)
        return Truth(label, known.patient, known.slide, known.magnification)

    def _class_of_folder(self, folder: bytes) -> str | None:
        """The class of the nearest enclosing folder that is named after one, up to the base folder."""
        while True:
            name = os.fsdecode(os.path.basename(folder)).casefold()
            if name in self._classes:
                return self._classes[name]
            if folder == self._base:
                return None
            folder = os.path.dirname(folder)
            contains_base = os.path.join(self._base, b"").startswith(os.path.join(folder, b""))
            if contains_base and folder != self._base:
                return None


def open_labels(labels: str, base: Path, classes: Sequence[str], rule: LabelRule = DEFAULT_RULE) -> LabelSource:
    """The label source given by `--labels`.

    Raises:
        InputError: it is neither a keyword nor a readable file, or the file has an invalid row.
    """
    if labels == "none":
        return LabelSource()
    if labels in ("auto", "folders", "breakhis"):
        return NameLabels(base, classes, use_name=labels != "folders", use_folder=labels != "breakhis")
    file = Path(labels)
    if not file.is_file():
        raise InputError(
            f"--labels is {labels!r}, but there is no such file",
            fix="choose auto, none, folders or breakhis, or provide a CSV or Parquet file with columns path and label",
        )
    return LabelFile(file, base, classes, rule)


def filled(truth: Truth, other: Truth) -> Truth:
    """Fill a truth's missing values from another one, except for the label."""
    return replace(
        truth,
        patient=truth.patient or other.patient,
        slide=truth.slide or other.slide,
        magnification=truth.magnification or other.magnification,
        mpp=truth.mpp or other.mpp,
    )
