"""Changes to the rows of a predictions table: other labels, other patients, or another decision threshold."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.files import real_path
from cancernet_cli.core.records import Truth
from cancernet_cli.data.discovery.entries import absolute
from cancernet_cli.data.discovery.label_file import LabelFile
from cancernet_cli.data.discovery.labels import filled
from cancernet_cli.data.discovery.patients import PatientPattern


class Relabel:
    """Replaces the labels of a table by those of a label file, matched by path.

    A row that is not in the file loses its label. Patient, slide and magnification stay where the file has none.

    Attributes:
        labelled, without: rows of the table with and without a label in the file.
    """

    def __init__(self, file: Path, base: Path, classes: Sequence[str]) -> None:
        if not file.is_file():
            raise InputError(f"--labels: file not found: {file}", fix="name a CSV or Parquet file with path,label")
        self.file = file
        self.labelled = self.without = 0
        self._folder = os.fsencode(base)
        self._labels = LabelFile(file, base, classes)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with new labels."""
        columns = [batch[name].cast(pa.string()).to_pylist() for name in ("patient", "slide")]
        magnifications = batch["magnification"].to_pylist()
        truths = [
            filled(
                self._labels.truth(absolute(real_path(path), self._folder)), Truth(None, patient, slide, magnification)
            )
            for path, patient, slide, magnification in zip(
                batch["path"].to_pylist(), *columns, magnifications, strict=True
            )
        ]
        labelled = sum(truth.label is not None for truth in truths)
        self.labelled += labelled
        self.without += len(truths) - labelled
        for name, values in (
            ("true_label", [truth.label for truth in truths]),
            ("patient", [truth.patient for truth in truths]),
            ("slide", [truth.slide for truth in truths]),
        ):
            batch = _with(batch, name, pa.array(values, pa.string()))
        return _with(batch, "magnification", pa.array([truth.magnification for truth in truths], pa.float32()))

    def remarks(self) -> list[str]:
        """Rows that did not match, one sentence each."""
        found: list[str] = []
        if self.without:
            rows = self.labelled + self.without
            found.append(f"{self.without:,} of {rows:,} rows of the table have no label in {self.file.name}")
        self._labels.report(found.append)
        return found


class Rename:
    """Takes the patient of each row from its path, where `--patient-pattern` matches it."""

    def __init__(self, pattern: str) -> None:
        self._patients = PatientPattern(pattern)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with the patients in its paths."""
        known = batch["patient"].cast(pa.string()).to_pylist()
        found = [self._patients.patient(path) for path in batch["path"].to_pylist()]
        patients = [new or old for new, old in zip(found, known, strict=True)]
        return _with(batch, "patient", pa.array(patients, pa.string()))

    def remarks(self) -> list[str]:
        """What does not fit, one sentence each.

        Raises:
            InputError: the expression matches no path of the table.
        """
        found: list[str] = []
        self._patients.check(found.append)
        return found


class Redecide:
    """Decides again for the positive class at or above a threshold, compared as float32, as the table stores both.

    No row is unsure then.
    """

    def __init__(self, classes: Sequence[str], threshold: float) -> None:
        self._negative, self._positive = classes
        self._threshold = np.float32(threshold)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with new decisions."""
        is_positive = pc.greater_equal(batch[f"prob_{self._positive}"], pa.scalar(self._threshold, pa.float32()))
        batch = _with(batch, "label", pc.if_else(is_positive, self._positive, self._negative))
        return _with(batch, "decision_threshold", pa.array([self._threshold] * len(batch), pa.float32()))


def _with(batch: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    """The batch with a column replaced, or added."""
    if name in batch.schema.names:
        return batch.set_column(batch.schema.names.index(name), name, column)
    return batch.append_column(name, column)
