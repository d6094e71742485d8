"""The labelled rows of a predictions table, as arrays that figures are computed from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.paths import display_path
from cancernet_cli.core.records import Kind
from cancernet_cli.metrics.scores import Scores

Change = Callable[[pa.RecordBatch], pa.RecordBatch]

_OPTIONAL = {
    "kind": pa.string(),
    "true_label": pa.string(),
    "patient": pa.string(),
    "slide": pa.string(),
    "magnification": pa.float32(),
}
_LISTED = 100


@dataclass
class Labelled:
    """Rows of one kind that have a prediction and a label of a class, and counts of all others.

    failed: rows without a prediction. failed_labelled: those of them with a label. unlabelled: rows with a prediction
    but no label. unusable: rows with a label but no finite probabilities. unknown_labels: labels that are not a class,
    with their counts (100 of them at most). thresholds: the decision thresholds of the rows.
    """

    scores: Scores
    failed: int = 0
    failed_labelled: int = 0
    unlabelled: int = 0
    unusable: int = 0
    unknown_labels: dict[str, int] = field(default_factory=dict)
    thresholds: set[float] = field(default_factory=set)


def read_labelled(table: Path, classes: Sequence[str], kind: Kind, change: Change | None = None) -> Labelled:
    """Read the rows of one kind; some 60 bytes a row stay in memory.

    Args:
        classes: with two, the second is the positive one.
        change: applied to each batch before it is read.

    Raises:
        InputError: not a Parquet file, or a column of a predictions table is missing.
    """
    reader = _Reader(classes)
    with readable(table):
        for batch in prediction_batches(table, classes, paths=change is not None):
            rows = of_kind(batch, kind)
            reader.add(change(rows) if change else rows)
    return reader.result()


class _Reader:
    """Takes a table batch by batch."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._found = Labelled(Scores.of([], np.zeros((0, len(classes))), classes=classes))
        self._classes = {name: number for number, name in enumerate(classes)}
        self._patients: dict[str, int] = {}
        self._slides: dict[str, int] = {}
        self._columns: list[tuple[NDArray[np.generic], ...]] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in a batch with the columns of a predictions table."""
        found = self._found
        ok = pc.fill_null(pc.is_in(batch["status"].cast(pa.string()), pa.array(["ok", "partial"])), False)
        has_label = pc.is_valid(batch["true_label"])
        found.failed += len(batch) - ok.true_count
        found.failed_labelled += pc.and_not(has_label, ok).true_count
        found.unlabelled += pc.and_not(ok, has_label).true_count
        batch = batch.filter(pc.and_(ok, has_label))
        true = _numbers(batch["true_label"], self._true_class)
        batch, true = batch.filter(pa.array(true >= 0)), true[true >= 0]
        predicted = _numbers(batch["label"], lambda name, _: self._classes.get(name, -1))
        probs = np.column_stack([_floats(batch[f"prob_{name}"]) for name in self._classes])
        usable = (predicted >= 0) & np.isfinite(probs).all(axis=1)
        found.unusable += int((~usable).sum())
        batch = batch.filter(pa.array(usable))
        if "decision_threshold" in batch.schema.names:
            found.thresholds.update(pc.unique(batch["decision_threshold"].drop_null()).to_pylist())
        self._columns.append(
            (
                true[usable].astype(np.int32),
                predicted[usable].astype(np.int32),
                probs[usable].astype(np.float32),
                _numbers(batch["patient"], lambda name, _: self._patients.setdefault(name, len(self._patients))),
                _floats(batch["magnification"]).astype(np.float32),
                _numbers(batch["slide"], lambda name, _: self._slides.setdefault(name, len(self._slides))),
            )
        )

    def result(self) -> Labelled:
        """All rows so far."""
        if self._columns:
            labels, predicted, probs, patients, magnifications, slides = (
                np.concatenate(parts) for parts in zip(*self._columns, strict=True)
            )
            self._found.scores = Scores.of(
                labels,
                probs,
                classes=tuple(self._classes),
                predicted=predicted,
                patients=patients,
                magnifications=magnifications,
                slides=slides,
                patient_names=tuple(self._patients),
            )
        return self._found

    def _true_class(self, name: str, count: int) -> int:
        """The class of a label, -1 and counted if it is none."""
        unknown = self._found.unknown_labels
        if name not in self._classes and (name in unknown or len(unknown) < _LISTED):
            unknown[name] = unknown.get(name, 0) + count
        return self._classes.get(name, -1)


def kinds_in(table: Path) -> list[Kind]:
    """The kinds of rows that have a prediction, images first; a table without the column holds images."""
    with readable(table), pq.ParquetFile(table) as file:
        if "kind" not in file.schema_arrow.names:
            return ["image"]
        found: set[str] = set()
        for batch in file.iter_batches(columns=["kind", "status"]):
            rows = batch.filter(pc.not_equal(batch["status"].cast(pa.string()), "failed"))
            found |= set(pc.unique(rows["kind"].cast(pa.string())).to_pylist())
    kinds: tuple[Kind, Kind] = ("image", "slide")
    return [kind for kind in kinds if kind in found]


def of_kind(batch: pa.RecordBatch, kind: Kind) -> pa.RecordBatch:
    """The rows of one kind; a row without a kind is an image.

    Slides and images are never judged together: a slide's prediction is pooled from tiles.
    """
    return batch.filter(pc.equal(pc.fill_null(batch["kind"].cast(pa.string()), "image"), kind))


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
    """The columns that figures need, batch by batch; null where the table has no such optional column."""
    with pq.ParquetFile(table) as file:
        present = set(file.schema_arrow.names)
        needed = [*(["path"] if paths else []), "status", "label", *(f"prob_{c}" for c in classes)]
        missing = [column for column in needed if column not in present]
        if missing:
            raise InputError(
                f"{display_path(bytes(table))} has no column {', '.join(missing)}",
                fix="name a table that `cancernet classify` wrote, with the model that wrote it",
            )
        wanted = needed + [column for column in (*_OPTIONAL, "decision_threshold") if column in present]
        added = [column for column in _OPTIONAL if column not in present]
        for batch in file.iter_batches(batch_size=8192, columns=wanted):
            columns = [*batch.columns, *(pa.nulls(len(batch), _OPTIONAL[column]) for column in added)]
            yield pa.RecordBatch.from_arrays(columns, names=[*batch.schema.names, *added])


def _numbers(column: pa.Array, number: Callable[[str, int], int]) -> NDArray[np.int64]:
    """A string column as numbers, null as -1; `number(name, how often)` is asked once for each distinct name."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    codes = np.asarray(column.indices.fill_null(-1), dtype=np.int64)
    names = column.dictionary.to_pylist()
    lookup = np.full(len(names) + 1, -1, np.int64)  # the last stands for null, code -1
    for code, count in zip(*(values.tolist() for values in np.unique(codes, return_counts=True)), strict=True):
        if code >= 0 and names[code] is not None:
            lookup[code] = number(names[code], count)
    return lookup[codes]


def _floats(column: pa.Array) -> NDArray[np.float64]:
    """A number column; null becomes NaN."""
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
