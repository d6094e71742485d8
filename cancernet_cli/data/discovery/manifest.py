"""Manifests: CSV or Parquet lists of files with labels and metadata, one row per file."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.records import Truth
from cancernet_cli.data.discovery.entries import absolute
from cancernet_cli.data.discovery.scratch import scratch_database
from cancernet_cli.data.discovery.tables import TextTable, is_missing

_COLUMNS = ("path", "image", "patient", "case", "slide", "magnification", "mpp")


@dataclass(frozen=True, slots=True)
class LabelRule:
    """The label column of a manifest, and how to treat labels that are not classes.

    columns: the first of these in the manifest is used. refuse_others: raise an error for other labels; else files with
    them are unlabeled.
    """

    # `true_label` comes first: in tables of `cancernet classify`, `label` is the prediction
    columns: tuple[str, ...] = ("true_label", "label")
    refuse_others: bool = True


DEFAULT_RULE = LabelRule()


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One row. `name`: the path as written, in bytes. `where`: file and line, for messages."""

    name: bytes
    truth: Truth
    line: int
    where: str


class Manifest:
    """A CSV or Parquet file with a column `path` and any of label, patient, case, slide, magnification, mpp.

    Lists of images with masks have a column `image` instead of `path`.

    Args:
        classes: the allowed labels, case-insensitive; if empty, any label is allowed.
        rule: which column holds the label.

    Raises:
        InputError: it cannot be read or has no column `path`; while iterating: a row without a path, an unknown label,
            an invalid number, or different labels for the same file.
    """

    def __init__(self, file: Path, classes: Sequence[str], rule: LabelRule = DEFAULT_RULE) -> None:
        self.file = file
        self._table = TextTable(file, _COLUMNS + rule.columns)
        self._refuse_others = rule.refuse_others
        self._classes = {name.casefold(): name for name in classes}
        self._path = "image" if "path" not in self._table.columns and "image" in self._table.columns else "path"
        if self._path not in self._table.columns:
            found = ", ".join(self._table.columns) or "none"
            raise InputError(
                f"{file} line 1 has no column 'path' (columns: {found})",
                fix="rename the column of file paths to 'path'",
            )
        self._label = next((name for name in rule.columns if name in self._table.columns), None)

    @property
    def has_labels(self) -> bool:
        return self._label is not None

    def __iter__(self) -> Iterator[ManifestRow]:
        folder = os.path.dirname(absolute(os.fsencode(self.file)))
        # On disk, so that memory use is constant
        database = scratch_database("CREATE TABLE row (location BLOB PRIMARY KEY, label, line) WITHOUT ROWID")
        insert = "INSERT OR IGNORE INTO row VALUES (?, ?, ?)"
        for line, values in self._table:
            where = self._table.where(line)
            name = values[self._path]
            if name is None:
                raise InputError(f"{where} has no path", fix=f"fill in the column {self._path!r}, or remove the row")
            row = ManifestRow(self._table.real_name(name), self._truth(values, where), line, where)
            if self.has_labels:
                location = absolute(row.name, folder)
                if not database.execute(insert, (location, row.truth.label, line)).rowcount:
                    check_same_label(database, "location", location, row)
            yield row

    def _truth(self, values: dict[str, Any], where: str) -> Truth:
        case, patient, slide = (_text(values.get(name)) for name in ("case", "patient", "slide"))
        return Truth(
            label=self._class(values.get(self._label) if self._label else None, where),
            # with both columns, `case` is the unit of splits and `patient` is the slide, as in BreakHis lists
            patient=case or patient,
            slide=slide or (patient if case else None),
            magnification=_number(values.get("magnification"), "magnification", where),
            mpp=_number(values.get("mpp"), "mpp", where),
        )

    def _class(self, value: Any, where: str) -> str | None:
        label = _text(value)
        if label is None or not self._classes:
            return None if label is None or is_missing(label) else label
        if label.casefold() not in self._classes:
            if is_missing(label) or not self._refuse_others:
                return None
            known = ", ".join(self._classes.values())
            raise InputError(
                f"{where}, column '{self._label}': {label!r} is not one of the classes ({known})",
                fix="correct the label, or leave it empty if it is unknown",
            )
        return self._classes[label.casefold()]


def check_same_label(database: sqlite3.Connection, column: str, key: bytes, row: ManifestRow) -> None:
    """Check that a row has the same label as an earlier one of the same file, whose `column` in table `row` is `key`.

    Raises:
        InputError: it has another label.
    """
    label, line = database.execute(f"SELECT label, line FROM row WHERE {column} = ?", (key,)).fetchone()
    if label != row.truth.label:
        raise InputError(
            f"{row.where} labels a file {row.truth.label!r} that is {label!r} in row {line}",
            fix="remove one of the two rows",
        )


def _text(value: Any) -> str | None:
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _number(value: Any, column: str, where: str) -> float | None:
    """A positive number; a magnification may have the suffix X, as in 100X."""
    text = _text(value)
    if text is None:
        return None
    try:
        number = float(text.rstrip("xX "))
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise InputError(
            f"{where}, column '{column}': {text!r} is not a positive number", fix="correct it or leave it empty"
        )
    return number
