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

from cancernet_cli.core.arrays import F64, I64, Bools
from cancernet_cli.core.choices import UNSURE
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.files import display_path
from cancernet_cli.core.records import Kind
from cancernet_cli.metrics.scores import Scores

Change = Callable[[pa.RecordBatch], pa.RecordBatch]

_WORDS = pa.dictionary(pa.int32(), pa.string())
_OPTIONAL = {
    "kind": _WORDS,
    "true_label": _WORDS,
    "patient": _WORDS,
    "slide": _WORDS,
    "magnification": pa.float32(),
    "seen_in_training": pa.bool_(),
    "decision_threshold": pa.float32(),
}
_LISTED = 100


@dataclass
class Labelled:
    """Rows of one kind that have a prediction and a label of a class, and counts of all others.

    failed: rows without a prediction. failed_labelled: those of them with a label. unlabelled: rows with a prediction
    but no label. unusable: rows with a label but no finite probabilities. unknown_labels: labels that are not a class,
    with their counts (the 100 most frequent). thresholds: the decision thresholds of the rows. seen: `[N]`, whether the
    model recognized an entry of `scores` as a training image.
    """

    scores: Scores
    failed: int
    failed_labelled: int
    unlabelled: int
    unusable: int
    seen: Bools
    unknown_labels: dict[str, int] = field(default_factory=dict)
    thresholds: set[float] = field(default_factory=set)


def read_labelled(
    table: Path, classes: Sequence[str], kind: Kind, change: Change | None = None, *, threshold_of: str = ""
) -> Labelled:
    """Read the rows of one kind.

    Args:
        classes: with two, the second is the positive one.
        change: applied to each batch of rows.
        threshold_of: of two classes, the one that the table's thresholds decide on; default: the second.

    Raises:
        InputError: not a Parquet file, or a column of a predictions table is missing.
    """
    rows = read_rows(table, classes, in_turn(only(kind), change), paths=change is not None)
    has_label = np.asarray(pc.is_valid(rows["true_label"]))
    labels = class_numbers(rows["true_label"], classes)
    ok, probs = has_prediction(rows), probabilities(rows, classes)
    predicted, unsure = decisions(rows, classes, threshold_of)
    known = ok & has_label & (labels >= 0)
    usable = known & (predicted >= 0) & np.isfinite(probs).all(axis=1)
    chosen = rows.select(["patient", "slide", "magnification", "decision_threshold"]).filter(pa.array(usable))
    kept = slice(None) if usable.all() else usable
    patients, patient_names = numbered(chosen["patient"])
    unknown = rows["true_label"].filter(pa.array(ok & has_label & ~known)).cast(pa.string())
    counts = sorted(pc.value_counts(unknown).to_pylist(), key=lambda entry: -entry["counts"])[:_LISTED]
    return Labelled(
        Scores.of(
            labels[kept],
            probs[kept],
            classes=classes,
            predicted=predicted[kept],
            patients=patients,
            magnifications=_floats(chosen["magnification"]),
            slides=numbered(chosen["slide"])[0],
            unsure=unsure[kept],
            patient_names=patient_names,
        ),
        failed=int((~ok).sum()),
        failed_labelled=int((~ok & has_label).sum()),
        unlabelled=int((ok & ~has_label).sum()),
        unusable=int((known & ~usable).sum()),
        seen=was_seen(rows)[usable],
        unknown_labels={entry["values"]: entry["counts"] for entry in counts},
        thresholds=set(pc.unique(chosen["decision_threshold"].drop_null()).to_pylist()),
    )


def read_rows(table: Path, classes: Sequence[str], change: Change, *, paths: bool) -> pa.Table:
    """The columns that figures need; null where the table has no such optional column.

    Args:
        change: applied to each batch of rows. paths: read `path` too.

    Raises:
        InputError: not a Parquet file, or a column of a predictions table is missing.
    """
    kept = {"path": pa.string()} if paths else {}
    kept |= {"status": _WORDS, "label": _WORDS, **{f"prob_{c}": pa.float32() for c in classes}, **_OPTIONAL}
    schema = pa.schema(list(kept.items()))
    with _readable(table), pq.ParquetFile(table) as file:
        present = set(file.schema_arrow.names)
        missing = [name for name in kept if name not in present and name not in _OPTIONAL]
        if missing:
            raise InputError(
                f"{display_path(bytes(table))} has no column {', '.join(missing)}",
                fix="name a table that `cancernet classify` wrote, with the model that wrote it",
            )
        added = [name for name in kept if name not in present]
        batches = []
        for batch in file.iter_batches(batch_size=65_536, columns=[name for name in kept if name in present]):
            columns = [*batch.columns, *(pa.nulls(len(batch), kept[name]) for name in added)]
            whole = pa.RecordBatch.from_arrays(columns, names=[*batch.schema.names, *added])
            batches.append(change(whole).select(schema.names).cast(schema))
        return pa.Table.from_batches(batches, schema)


def kinds_in(table: Path) -> list[Kind]:
    """The kinds of rows that have a prediction, images first; a table without the column holds images."""
    with _readable(table), pq.ParquetFile(table) as file:
        if "kind" not in file.schema_arrow.names:
            return ["image"]
        found: set[str] = set()
        for batch in file.iter_batches(columns=["kind", "status"]):
            rows = batch.filter(pc.not_equal(batch["status"].cast(pa.string()), "failed"))
            found |= set(pc.unique(rows["kind"].cast(pa.string())).to_pylist())
    kinds: tuple[Kind, Kind] = ("image", "slide")
    return [kind for kind in kinds if kind in found]


def only(kind: Kind) -> Change:
    """Keep the rows of one kind; a row without a kind is an image.

    Slides and images are never evaluated together: a slide's prediction is pooled from tiles.
    """
    return lambda batch: batch.filter(pc.equal(pc.fill_null(batch["kind"].cast(pa.string()), "image"), kind))


def in_turn(*changes: Change | None) -> Change:
    """One change after another."""

    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        for one in filter(None, changes):
            batch = one(batch)
        return batch

    return change


def has_prediction(rows: pa.Table) -> Bools:
    """Which rows were classified, `[N]`."""
    words = pa.array(["ok", "partial"])
    return np.asarray(pc.fill_null(pc.is_in(rows["status"].cast(pa.string()), words), False), dtype=bool)


def was_seen(rows: pa.Table) -> Bools:
    """Which rows are training images of the model that classified them, as far as it knows, `[N]`."""
    return np.asarray(pc.fill_null(rows["seen_in_training"], False), dtype=bool)


def probabilities(rows: pa.Table, classes: Sequence[str]) -> F64:
    """The probability of each class, `[N, K]`; NaN where null."""
    return np.column_stack([_floats(rows[f"prob_{name}"]) for name in classes])


def decisions(rows: pa.Table, classes: Sequence[str], threshold_of: str = "") -> tuple[I64, Bools]:
    """The class decided on, `[N]`, -1 for none, and which labels are `unsure`.

    Behind an unsure label is the class that the row's threshold decides on, or the most probable one without a
    threshold.

    Args:
        threshold_of: of two classes, the one that thresholds decide on; default: the second.
    """
    predicted = class_numbers(rows["label"], classes)
    unsure = np.asarray(pc.fill_null(pc.equal(rows["label"].cast(pa.string()), UNSURE), False), dtype=bool)
    if unsure.any():
        chosen = rows.filter(pa.array(unsure))
        probs, thresholds = probabilities(chosen, classes), _floats(chosen["decision_threshold"])
        best = np.where(np.isfinite(probs).all(axis=1), np.nan_to_num(probs).argmax(axis=1), -1)
        # Exact: both columns are float32.
        on = classes.index(threshold_of) if threshold_of else len(classes) - 1
        decided = np.where(probs[:, on] >= thresholds, on, 1 - on)
        predicted[unsure] = np.where(np.isfinite(thresholds) & (best >= 0), decided, best)
    return predicted, unsure


def class_numbers(column: pa.ChunkedArray, classes: Sequence[str]) -> I64:
    """Class names as their numbers, -1 for null and other names."""
    found = pc.index_in(column.cast(pa.string()), value_set=pa.array(classes, pa.string()))
    return np.asarray(pc.fill_null(found, -1), dtype=np.int64)


def numbered(column: pa.ChunkedArray) -> tuple[I64, list[str]]:
    """Names as numbers in the order in which they first occur, -1 for null; and the names."""
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.fill_null(-1), dtype=np.int64), encoded.dictionary.to_pylist()


@contextmanager
def _readable(table: Path) -> Iterator[None]:
    """Raise errors while reading a predictions table as InputError."""
    try:
        yield
    except (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"{display_path(bytes(table))} cannot be read as a predictions table: {' '.join(str(error).split())}",
            fix="name a Parquet table that `cancernet classify` wrote",
        ) from error


def _floats(column: pa.ChunkedArray) -> F64:
    """A number column; null becomes NaN."""
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
