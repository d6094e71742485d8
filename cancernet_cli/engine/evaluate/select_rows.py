"""Choose the rows of a table to evaluate, and apply labels and thresholds from the options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.options import EvaluateOptions
from cancernet_cli.core.records import Kind
from cancernet_cli.engine.evaluate.labelled import Change, Labelled, in_turn, kinds_in, read_labelled
from cancernet_cli.engine.evaluate.relabel import Redecide, Relabel, Rename
from cancernet_cli.engine.evaluate.source import Source


@dataclass(frozen=True)
class Changes:
    """The changes to rows that the options ask for; None for those that they do not."""

    relabel: Relabel | None
    rename: Rename | None
    redecide: Redecide | None

    @property
    def together(self) -> Change | None:
        """All of them as one change; None if there are none."""
        wanted = [one for one in (self.relabel, self.rename, self.redecide) if one is not None]
        return in_turn(*wanted) if wanted else None

    def remarks(self) -> list[str]:
        """What did not fit, one sentence each; raises as `Rename.remarks`."""
        return [words for one in (self.relabel, self.rename) if one is not None for words in one.remarks()]


@dataclass(frozen=True)
class SelectedRows:
    """The rows to evaluate. others: kinds of rows with predictions that are omitted. changes: made to them."""

    labelled: Labelled
    kind: Kind
    others: list[Kind]
    changes: Changes


def select_rows(source: Source, options: EvaluateOptions) -> SelectedRows:
    """The rows of the first kind that has labels.

    Raises:
        InputError: there is nothing to measure.
    """
    kinds = _wanted(source.table, options.kind)
    for kind in kinds:
        changes = changes_of(source, options)
        labelled = read_labelled(source.table, source.classes, kind, changes.together, threshold_of=source.threshold_of)
        if labelled.scores.n_images:
            break
    _check_labels(labelled, source, changes.relabel)
    return SelectedRows(labelled, kind, [other for other in kinds if other != kind], changes)


def changes_of(source: Source, options: EvaluateOptions) -> Changes:
    """The changes to rows that the options ask for: other labels, patients, decisions."""
    return Changes(
        relabel=Relabel(options.labels, source.base, source.classes) if options.labels else None,
        rename=Rename(options.patient_pattern) if options.patient_pattern else None,
        redecide=Redecide(source.classes, options.threshold) if options.threshold is not None else None,
    )


def _wanted(table: Path, kind: Literal["auto", "image", "slide"]) -> list[Kind]:
    """The kinds of rows to evaluate, in order of preference.

    Raises:
        InputError: the table has no row of the requested kind.
    """
    present = kinds_in(table) or ["image"]
    if kind == "auto":
        return present
    if kind not in present:
        raise InputError(f"no {kind} in {table} has a prediction", fix="omit --kind")
    return [kind]


def _check_labels(labelled: Labelled, source: Source, relabel: Relabel | None) -> None:
    """Raise if there is nothing to measure."""
    if labelled.scores.n_images:
        return
    table = source.table
    if relabel is not None and not relabel.labelled:
        raise InputError(
            f"no path in {relabel.file} is in {table}",
            fix="write paths as in the table's column `path`, or relative to the label file's folder",
        )
    if labelled.unknown_labels:
        names = ", ".join(map(repr, sorted(labelled.unknown_labels)[:5]))
        raise InputError(
            f"the labels in {table} ({names}) are not among its classes ({', '.join(source.classes)})",
            fix="provide labels of these classes with --labels FILE",
        )
    if labelled.unusable and "label" not in pq.read_schema(table).names:
        raise InputError(
            f"{table} has no column label, so nothing is decided on",
            fix="pass --threshold, or evaluate the table that CancerNet wrote",
        )
    if labelled.failed_labelled or labelled.unusable:
        raise InputError(f"no labelled image in {table} has a prediction", fix="check the column `error`")
    raise InputError(
        f"{table} has no labels: `true_label` is empty in every row",
        fix="provide labels with --labels FILE, a CSV or Parquet file with path,label[,patient]",
    )
