"""Lists of files with what is known about them: one row a file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.paths import real_path
from cancernet_cli.core.records import Truth
from cancernet_cli.data.discovery.entries import absolute
from cancernet_cli.data.discovery.scratch import scratch_database
from cancernet_cli.data.discovery.tables import TextTable

_COLUMNS = ("path", "patient", "case", "slide", "magnification", "mpp")


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Where a list's labels stand, and what a label means that is none of the classes.

    columns: the first of these that a list has. refuse_others: another label is an error; else its file has none.
    """

    # `true_label` before `label`: in a table that `cancernet classify` wrote, `label` is the prediction
    columns: tuple[str, ...] = ("true_label", "label")
    refuse_others: bool = True


DEFAULT_RULE = LabelRule()


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One row. `name`: the path as it stands there, in bytes. `where`: file and line, for messages."""

    name: bytes
    truth: Truth
    line: int
    where: str


class Manifest:
    """A CSV or Parquet file with a column `path` and any of label, patient, case, slide, magnification, mpp.

    Args:
        classes: the labels that may occur, in any case; none given, every label may.
        rule: which column holds the label.

    Raises:
        InputError: it cannot be read or has no `path`; while iterating: a row without a path, a label that is no class,
            a number that is none, a file that two rows give different labels.
    """

    def __init__(self, file: Path, classes: Sequence[str], rule: LabelRule = DEFAULT_RULE) -> None:
        self.file = file
        self._table = TextTable(file, _COLUMNS + rule.columns)
        self._refuse_others = rule.refuse_others
        self._classes = {name.casefold(): name for name in classes}
        if "path" not in self._table.columns:
            found = ", ".join(self._table.columns) or "none"
            raise InputError(
                f"{file} line 1 has no column 'path' (columns: {found})",
                fix="name the column that holds the files 'path'",
            )
        self._label = next((name for name in rule.columns if name in self._table.columns), None)

    @property
    def has_labels(self) -> bool:
        """Whether it has a column of labels."""
        return self._label is not None

    def __iter__(self) -> Iterator[ManifestRow]:
        folder = os.path.dirname(absolute(os.fsencode(self.file)))
        labels = _LabelsSoFar() if self.has_labels else None
        for line, values in self._table:
            where = self._table.where(line)
            name = values["path"]
            if name is None:
                raise InputError(f"{where} has no path", fix="fill the column 'path', or remove the row")
            row = ManifestRow(_bytes_of(name), self._truth(values, where), line, where)
            if labels is not None:
                labels.add(absolute(row.name, folder), row)
            yield row

    def _truth(self, values: dict[str, Any], where: str) -> Truth:
        case, patient, slide = (_text(values.get(name)) for name in ("case", "patient", "slide"))
        return Truth(
            label=self._class(values.get(self._label) if self._label else None, where),
            # where both stand, `case` is the unit of splits and `patient` names the slide, as in BreakHis lists
            patient=case or patient,
            slide=slide or (patient if case else None),
            magnification=_number(values.get("magnification"), "magnification", where),
            mpp=_number(values.get("mpp"), "mpp", where),
        )

    def _class(self, value: Any, where: str) -> str | None:
        label = _text(value)
        if label is None or not self._classes:
            return label
        if label.casefold() not in self._classes:
            if not self._refuse_others:
                return None
            known = ", ".join(self._classes.values())
            raise InputError(
                f"{where}, column '{self._label}': {label!r} is none of the model's classes ({known})",
                fix="correct the label, leave it empty where it is unknown, or choose a model with this class",
            )
        return self._classes[label.casefold()]


class _LabelsSoFar:
    """The label of every file of a list so far, on disk, so that memory does not grow with it."""

    def __init__(self) -> None:
        self._db = scratch_database("CREATE TABLE row (location BLOB PRIMARY KEY, label, line) WITHOUT ROWID")

    def add(self, location: bytes, row: ManifestRow) -> None:
        """Note a row.

        Raises:
            InputError: an earlier one gives the same file another label.
        """
        insert = "INSERT OR IGNORE INTO row VALUES (?, ?, ?)"
        if self._db.execute(insert, (location, row.truth.label, row.line)).rowcount:
            return
        label, line = self._db.execute("SELECT label, line FROM row WHERE location = ?", (location,)).fetchone()
        if label != row.truth.label:
            raise InputError(
                f"{row.where} gives the label {row.truth.label!r} to a file that row {line} calls {label!r}",
                fix="keep one of the two rows",
            )


def _bytes_of(name: Any) -> bytes:
    return name if isinstance(name, bytes) else real_path(str(name))


def _text(value: Any) -> str | None:
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _number(value: Any, column: str, where: str) -> float | None:
    """A positive number; a magnification may be written 100X."""
    text = _text(value)
    if text is None:
        return None
    try:
        number = float(text.rstrip("xX "))
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise InputError(
            f"{where}, column '{column}': {text!r} is no positive number", fix="correct it or leave it empty"
        )
    return number
