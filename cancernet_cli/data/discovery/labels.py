"""What is known about a file from its name, its folders, or a label file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.records import Truth
from cancernet_cli.data.discovery.breakhis import parse_breakhis
from cancernet_cli.data.discovery.label_file import LabelFile
from cancernet_cli.data.discovery.manifest import DEFAULT_RULE, LabelRule


class LabelSource(Protocol):
    """Where truths come from."""

    def truth(self, location: bytes) -> Truth:
        """What is known about the file at this absolute path."""

    def report(self, on_problem: Callable[[str], None]) -> None:
        """After the last file: what did not fit."""


class NoLabels:
    """Nothing is known."""

    def truth(self, location: bytes) -> Truth:
        """Nothing."""
        return Truth()

    def report(self, on_problem: Callable[[str], None]) -> None:
        """Nothing."""


class NameLabels:
    """Labels from BreakHis file names, from folders named like a class, or from the name first and then the folder.

    Patient, slide and magnification come from a BreakHis name in any case: files sorted into class folders still belong
    to their patients.
    """

    def __init__(self, base: Path, classes: Sequence[str], *, use_name: bool, use_folder: bool) -> None:
        self._base = os.fsencode(base)
        self._classes = {name.casefold(): name for name in classes}
        self._use_name, self._use_folder = use_name, use_folder
        self._folder_class = lru_cache(maxsize=1024)(self._class_of_folder)

    def truth(self, location: bytes) -> Truth:
        """What the file's name and folders say."""
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

    def report(self, on_problem: Callable[[str], None]) -> None:
        """Nothing: a file without a label is not wrong."""

    def _class_of_folder(self, folder: bytes) -> str | None:
        """The nearest folder with a class's name, upwards to the base and no further."""
        while True:
            name = os.fsdecode(os.path.basename(folder)).casefold()
            if name in self._classes:
                return self._classes[name]
            if folder == self._base:
                return None
            folder = os.path.dirname(folder)
            holds_base = os.path.join(self._base, b"").startswith(os.path.join(folder, b""))
            if holds_base and folder != self._base:
                return None


def open_labels(labels: str, base: Path, classes: Sequence[str], rule: LabelRule = DEFAULT_RULE) -> LabelSource:
    """The source that `--labels` names.

    Raises:
        InputError: it is no known word and no readable file, or the file has a wrong row.
    """
    if labels == "none":
        return NoLabels()
    if labels in ("auto", "folders", "breakhis"):
        return NameLabels(base, classes, use_name=labels != "folders", use_folder=labels != "breakhis")
    file = Path(labels)
    if not file.is_file():
        raise InputError(
            f"--labels is {labels!r}, and no file has that name",
            fix="choose auto, none, folders or breakhis, or give a CSV or Parquet file with path,label",
        )
    return LabelFile(file, base, classes, rule)


def filled(truth: Truth, other: Truth) -> Truth:
    """A truth with its gaps filled from another, except for the label."""
    return replace(
        truth,
        patient=truth.patient or other.patient,
        slide=truth.slide or other.slide,
        magnification=truth.magnification or other.magnification,
        mpp=truth.mpp or other.mpp,
    )
