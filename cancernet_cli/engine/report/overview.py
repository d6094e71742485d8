"""Counts over all rows of a table, and the rows to show, in one pass and constant memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cancernet_cli.core.arrays import F64, I64, Bools
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted
from cancernet_cli.engine.evaluate.columns import as_column, check_columns
from cancernet_cli.engine.evaluate.source import Source
from cancernet_cli.engine.report.sample import Sample

BINS = 50
AT_ONCE = 65_536
_WORDS = ("kind", "status", "label", "flags", "true_label", "error")
_NUMBERS = ("decision_threshold",)
_REASONS_KEPT = 1_000  # different reasons of failures


@dataclass
class Overview:
    """Exact counts over all rows.

    failures: by stage and class of error, `decode: TruncatedImage`. histogram: `[BINS]` files per bin of probability by
    true label; "" for an unknown one. thresholds: the decision thresholds of the rows.
    """

    rows: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    truths: Counter[str] = field(default_factory=Counter)
    histogram: dict[str, I64] = field(default_factory=dict)
    thresholds: set[float] = field(default_factory=set)
    sample: dict[int, list[str]] = field(default_factory=dict)

    @property
    def labelled(self) -> int:
        """Rows with a true label."""
        return self.truths.total()


def overview(source: Source, most_rows: int, seed: int, report: Reporter) -> Overview:
    """Count all rows and choose at most `most_rows` to show.

    Raises:
        InputError: not a Parquet file, or a column has a type that cannot be meant or occurs twice.
    """
    try:
        pq.read_metadata(source.table)
    except (OSError, pa.ArrowException):
        raise InputError(
            f"{source.table} is not a Parquet file", fix="name the Parquet table that `cancernet classify` wrote"
        ) from None
    found, sample = Overview(), Sample(most_rows, len(source.classes), seed)
    with pq.ParquetFile(source.table) as file:
        report(StageStarted("count", file.metadata.num_rows, "rows"))
        for batch in _batches(file, source):
            _count(found, batch, source.classes)
            _consider(sample, batch, source.classes, np.arange(found.rows, found.rows + len(batch)))
            found.rows += len(batch)
            report(StageAdvanced("count", len(batch)))
    report(StageFinished("count"))
    found.sample = sample.chosen()
    return found


def _batches(file: pq.ParquetFile, source: Source) -> Iterator[pa.RecordBatch]:
    """The columns that are counted, as text and numbers; null where the table has no such column."""
    wanted: dict[str, pa.DataType] = dict.fromkeys(_WORDS, pa.string())
    wanted |= dict.fromkeys((*_NUMBERS, *(f"prob_{name}" for name in source.classes)), pa.float32())
    names = file.schema_arrow.names
    present = [name for name in wanted if name in names]
    check_columns(source.table, names, [], present)
    for batch in _read(file, present):
        columns = [
            as_column(source.table, name, batch[name], kind, source.classes)
            if name in present
            else pa.nulls(len(batch), kind)
            for name, kind in wanted.items()
        ]
        yield pa.RecordBatch.from_arrays(columns, names=list(wanted))


def _read(file: pq.ParquetFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Batches of about `AT_ONCE` rows, however long the row groups are."""
    groups: list[int] = []
    rows = 0
    for group in range(file.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        if groups and rows + count > AT_ONCE:
            yield from (
                file.iter_batches(AT_ONCE, groups, columns) if len(groups) == 1 else _whole(file, groups, columns)
            )
            groups, rows = [], 0
        groups.append(group)
        rows += count
    if groups:
        yield from file.iter_batches(AT_ONCE, groups, columns) if len(groups) == 1 else _whole(file, groups, columns)


def _whole(file: pq.ParquetFile, groups: list[int], columns: list[str]) -> list[pa.RecordBatch]:
    """Some short row groups as one batch."""
    table = file.read_row_groups(groups, columns=columns)
    plain = pa.schema([f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f for f in table.schema])
    return list(table.cast(plain).combine_chunks().to_batches())


def _count(found: Overview, batch: pa.RecordBatch, classes: Sequence[str]) -> None:
    status = batch["status"].fill_null("ok")
    found.kinds.update(_values(batch["kind"].fill_null("image")))
    found.statuses.update(_values(status))
    found.labels.update(_values(batch["label"].drop_null()))
    found.truths.update(_values(batch["true_label"].drop_null()))
    for joined, count in _values(batch["flags"].drop_null()).items():
        found.flags.update({flag: count for flag in joined.split(",") if flag})
    for error, count in _values(batch["error"].filter(pc.not_equal(status, "ok")).drop_null()).items():
        reason = ": ".join(error.split(": ")[:2]) or "no reason given"
        if reason in found.failures or len(found.failures) < _REASONS_KEPT:
            found.failures[reason] += count
    found.thresholds.update(pc.unique(batch["decision_threshold"].drop_null()).to_pylist()[:100])
    shown = _shown(_probs(batch, classes))
    known = np.isfinite(shown)
    at = np.clip((shown[known] * BINS).astype(np.int64), 0, BINS - 1)
    truths = np.asarray(batch["true_label"].fill_null("").to_numpy(zero_copy_only=False), dtype=object)[known]
    for name in set(truths.tolist()):
        counts = np.bincount(at[truths == name], minlength=BINS)
        found.histogram[name] = found.histogram.get(name, np.zeros(BINS, np.int64)) + counts


def _consider(sample: Sample, batch: pa.RecordBatch, classes: Sequence[str], rows: I64) -> None:
    probs = _probs(batch, classes)
    labels, truths = _class_numbers(batch["label"], classes), _class_numbers(batch["true_label"], classes)
    thresholds = batch["decision_threshold"].cast(pa.float64()).to_numpy(zero_copy_only=False)
    is_wrong = (labels >= 0) & (truths >= 0) & (labels != truths)
    of_truth = probs[np.arange(len(rows)), np.maximum(truths, 0)]
    ordered = np.sort(probs, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    doubt = np.where(np.isfinite(thresholds), np.abs(probs[:, 1] - thresholds), margin) if len(classes) == 2 else margin
    sample.add(
        rows,
        error=np.where(is_wrong, 1 - of_truth, np.nan),
        doubt=doubt,
        is_slide=_is(batch["kind"], "slide"),
        is_flagged=np.asarray(pc.fill_null(pc.greater(pc.utf8_length(batch["flags"]), 0), False)),
        has_failed=_is(batch["status"], "failed"),
        labels=labels,
    )


def _probs(batch: pa.RecordBatch, classes: Sequence[str]) -> F64:
    """`[N, K]`, NaN where null."""
    columns = (batch[f"prob_{name}"].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in classes)
    return np.column_stack(list(columns))


def _shown(probs: F64) -> F64:
    """`[N]`: the probability of the positive one of two classes, or of the most probable class."""
    return np.asarray(probs[:, 1] if probs.shape[1] == 2 else probs.max(axis=1))


def _class_numbers(column: pa.Array, classes: Sequence[str]) -> I64:
    """`[N]`, -1 for null, `unsure` and other names."""
    found = pc.index_in(column, value_set=pa.array(classes, pa.string()))
    return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)


def _is(column: pa.Array, value: str) -> Bools:
    return np.asarray(pc.fill_null(pc.equal(column, value), False))


def _values(column: pa.Array) -> dict[str, int]:
    return {entry["values"]: entry["counts"] for entry in pc.value_counts(column).to_pylist()}


def read_rows(table: Path, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
    """All columns of some rows by their numbers, reading only the row groups that contain them."""
    wanted = np.unique(np.asarray(numbers, np.int64))
    found: dict[int, dict[str, Any]] = {}
    with pq.ParquetFile(table) as file:
        start = 0
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            here = wanted[(wanted >= start) & (wanted < end)]
            if len(here):
                rows = file.read_row_group(group).take(pa.array(here - start))
                found |= dict(zip(here.tolist(), rows.to_pylist(), strict=True))
            start = end
    return found
