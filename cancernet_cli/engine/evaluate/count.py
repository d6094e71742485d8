"""A predictions table, streamed into counts that figures can be computed from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.paths import display_path
from cancernet_cli.metrics.tally import Tally

Change = Callable[[pa.RecordBatch], pa.RecordBatch]

_OPTIONAL = {
    "kind": pa.string(),
    "true_label": pa.string(),
    "patient": pa.string(),
    "slide": pa.string(),
    "magnification": pa.float32(),
}
_LISTED = 100


class TableCount:
    """What a predictions table says, without its rows.

    labelled: rows that figures are made of: ok, with a label that is one of the classes. failed: rows that are not ok;
    failed_labelled: those of them with a label. unlabelled: ok, without a label. unusable: ok and labelled, but without
    a usable probability. unknown_labels: labels that are no class, with their counts (100 of them at most).
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.tally = Tally(classes)
        self.labelled = self.failed = self.failed_labelled = self.unlabelled = self.unusable = 0
        self.unknown_labels: dict[str, int] = {}
        self.thresholds: set[float] = set()

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch with the columns of a predictions table."""
        ok = pc.fill_null(pc.is_in(batch["status"].cast(pa.string()), pa.array(["ok", "partial"])), False)
        has_label = pc.is_valid(batch["true_label"])
        self.failed += len(batch) - ok.true_count
        self.failed_labelled += pc.and_not(has_label, ok).true_count
        self.unlabelled += pc.and_not(ok, has_label).true_count
        batch = batch.filter(pc.and_(ok, has_label))
        true = _numbers(batch["true_label"], self._true_class)
        batch, true = batch.filter(pa.array(true >= 0)), true[true >= 0]
        predicted = _numbers(batch["label"], self._class_index)
        probs = np.column_stack([_floats(batch[f"prob_{name}"]) for name in self.tally.classes])
        usable = (predicted >= 0) & np.isfinite(probs).all(axis=1)
        self.unusable += int((~usable).sum())
        batch = batch.filter(pa.array(usable))
        self.labelled += len(batch)
        if "decision_threshold" in batch.schema.names:
            self.thresholds.update(pc.unique(batch["decision_threshold"].drop_null()).to_pylist())
        self.tally.add(
            true[usable],
            predicted[usable],
            probs[usable],
            _numbers(batch["patient"], lambda name, _: self.tally.patient_index(name)),
            _floats(batch["magnification"]),
            _numbers(batch["slide"], lambda name, _: self.tally.slide_index(name)),
        )

    def _class_index(self, name: str | None, _: int) -> int:
        return self.tally.classes.index(name) if name in self.tally.classes else -1

    def _true_class(self, name: str | None, count: int) -> int:
        """As `_class_index`, counting the labels that are no class."""
        if name is not None and name not in self.tally.classes:
            if name in self.unknown_labels or len(self.unknown_labels) < _LISTED:
                self.unknown_labels[name] = self.unknown_labels.get(name, 0) + count
            return -1
        return self._class_index(name, count)


def count_table(table: Path, classes: Sequence[str], change: Change | None = None) -> TableCount:
    """Stream a predictions table; memory does not grow with its rows.

    Args:
        classes: with two, the second is the positive one.
        change: what is done to each batch before it is counted.

    Raises:
        InputError: it is no Parquet file, or lacks a column of a predictions table.
    """
    count = TableCount(classes)
    with readable(table):
        for batch in prediction_batches(table, classes, paths=change is not None):
            count.add(change(batch) if change else batch)
    return count


@contextmanager
def readable(table: Path) -> Iterator[None]:
    """Turn what goes wrong while a predictions table is read into an InputError."""
    try:
        yield
    except (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"{display_path(bytes(table))} cannot be read as a predictions table: {' '.join(str(error).split())}",
            fix="name a Parquet table that `cancernet classify` wrote",
        ) from error


def prediction_batches(table: Path, classes: Sequence[str], *, paths: bool) -> Iterator[pa.RecordBatch]:
    """The columns that figures need, batch by batch; null where the table lacks an optional one."""
    with pq.ParquetFile(table) as file:
        there = set(file.schema_arrow.names)
        needed = [*(["path"] if paths else []), "status", "label", *(f"prob_{c}" for c in classes)]
        lacking = [column for column in needed if column not in there]
        if lacking:
            raise InputError(
                f"{display_path(bytes(table))} has no column {', '.join(lacking)}",
                fix="name a table that `cancernet classify` wrote, with the model that wrote it",
            )
        wanted = needed + [column for column in (*_OPTIONAL, "decision_threshold") if column in there]
        missing = [column for column in _OPTIONAL if column not in there]
        for batch in file.iter_batches(batch_size=8192, columns=wanted):
            columns = [*batch.columns, *(pa.nulls(len(batch), _OPTIONAL[column]) for column in missing)]
            yield pa.RecordBatch.from_arrays(columns, names=[*batch.schema.names, *missing])


def _numbers(column: pa.Array, number: Callable[[str | None, int], int]) -> I64:
    """A string column as numbers; `number(name, how often)` is asked once for each distinct name."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    codes = np.asarray(column.indices.fill_null(-1), dtype=np.int64)
    names = [*column.dictionary.to_pylist(), None]  # the last stands for null, code -1
    lookup = np.full(len(names), -1, np.int64)
    for code, count in zip(*(values.tolist() for values in np.unique(codes, return_counts=True)), strict=True):
        lookup[code] = number(names[code], count)
    return lookup[codes]


def _floats(column: pa.Array) -> F64:
    """A number column; null becomes NaN."""
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
