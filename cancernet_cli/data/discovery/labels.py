"""Labels and metadata of files, from their names, their folders, or a label file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.records import Truth
from cancernet_cli.data.discovery.label_file import LabelFile, LabelSource
from cancernet_cli.data.discovery.layout import Layout
from cancernet_cli.data.discovery.manifest import DEFAULT_RULE, LabelRule
from cancernet_cli.data.discovery.names.facts import facts_of_name


class NameLabels(LabelSource):
    """Labels from BreakHis and IDC file names, from folders named after classes, or from both, the file name first.

    Patient, slide and magnification always come from such a file name: files sorted into class folders still belong to
    their patients. For other names the patient is the folder that the layout names.

    Attributes:
        layout: how the folders are arranged. Until `discover` has surveyed them, no folder is a patient's.
    """

    def __init__(self, base: Path, classes: Sequence[str], *, use_name: bool, use_folder: bool) -> None:
        self._classes = {name.casefold(): name for name in classes}
        self._use_name, self.use_folder = use_name, use_folder
        self.layout = Layout(os.fsencode(base), self._classes)

    @property
    def layout(self) -> Layout:
        return self._layout

    @layout.setter
    def layout(self, layout: Layout) -> None:
        self._layout = layout
        self._of_folder = lru_cache(maxsize=1024)(lambda folder: (layout.class_of(folder), layout.patient_of(folder)))

    def truth(self, location: bytes) -> Truth:
        folder, name = os.path.split(location)
        facts = facts_of_name(os.fsdecode(name))
        label = patient = None
        if self._use_name:
            label = next((self._classes[name] for name in facts.labels if name in self._classes), None)
        if self.use_folder:
            folder_class, patient = self._of_folder(folder)
            label = label or folder_class
        return replace(facts.truth, label=label, patient=facts.truth.patient or patient)


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
