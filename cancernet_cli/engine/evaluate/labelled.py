"""The labelled rows of a predictions table, as arrays that figures are computed from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cancernet_cli.core.arrays import F64, Bools, Indices
from cancernet_cli.core.choices import UNSURE
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.files import display_path
from cancernet_cli.core.records import Kind
from cancernet_cli.engine.evaluate.columns import as_column, check_columns
from cancernet_cli.metrics.scores import Scores
from cancernet_cli.outputs.tables.reading import open_table

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
_OF_ROWS = ("status", "label")  # a table without them has a prediction in every row, and no decisions
_LISTED = 100
AT_ONCE = 262_144


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
    chosen, kept = rows.select(["patient", "slide", "magnification", "decision_threshold"]), slice(None)
    if not usable.all():
        chosen, kept = chosen.filter(pa.array(usable)), usable
    patients, patient_names = numbered(chosen["patient"])
    unknown = rows["true_label"].filter(pa.array(ok & has_label & ~known)).cast(pa.string())
    counts = sorted(pc.value_counts(unknown).to_pylist(), key=lambda entry: -entry["counts"])[:_LISTED]
    found = Labelled(
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
    del rows, chosen
    pa.default_memory_pool().release_unused()  # Arrow would keep as much memory as all figures take
    return found


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
    with _readable(table), open_table(table) as file:
        names = file.schema.names
        present = [name for name in kept if name in names]
        check_columns(table, names, [name for name in kept if name not in (*_OPTIONAL, *_OF_ROWS)], present)
        batches = []
        for batch in file.batches(AT_ONCE, present):
            columns = {name: as_column(table, name, batch[name], kept[name], classes) for name in present}
            for name in kept:
                if name not in columns:
                    columns[name] = pa.nulls(len(batch), kept[name]) if name in _OPTIONAL else _of_row(name, batch)
            whole = pa.RecordBatch.from_arrays([columns[name] for name in kept], names=list(kept))
            batches.append(change(whole).select(schema.names).cast(schema))
        return pa.Table.from_batches(batches, schema)


def _of_row(name: str, batch: pa.RecordBatch) -> pa.Array:
    """A column that the table does not have."""
    words = pa.nulls(len(batch), pa.string()) if name == "label" else pa.array(["ok"] * len(batch), pa.string())
    return words.cast(_WORDS)


def kinds_in(table: Path) -> list[Kind]:
    """The kinds of rows that have a prediction, images first; a table without the column holds images."""
    with _readable(table), open_table(table) as file:
        names = file.schema.names
        if "kind" not in names:
            return ["image"]
        present = [name for name in ("kind", "status") if name in names]
        check_columns(table, names, [], present)
        found: set[str] = set()
        for batch in file.batches(AT_ONCE, present):
            kinds, *status = (as_column(table, name, batch[name], pa.string(), ()) for name in present)
            rows = kinds.filter(pc.not_equal(status[0], "failed")) if status else kinds
            found |= set(pc.unique(rows.fill_null("image")).to_pylist())
    in_order: tuple[Kind, Kind] = ("image", "slide")
    return [kind for kind in in_order if kind in found]


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
    return is_one_of(rows["status"], ("ok", "partial"))


def was_seen(rows: pa.Table) -> Bools:
    """Which rows are training images of the model that classified them, as far as it knows, `[N]`."""
    return np.asarray(pc.fill_null(rows["seen_in_training"], False), dtype=bool)


def probabilities(rows: pa.Table, classes: Sequence[str]) -> F64:
    """The probability of each class, `[N, K]`; NaN where null."""
    found = np.empty((len(rows), len(classes)))
    for k, name in enumerate(classes):
        found[:, k] = _floats(rows[f"prob_{name}"])
    return found


def decisions(rows: pa.Table, classes: Sequence[str], threshold_of: str = "") -> tuple[Indices, Bools]:
    """The class decided on, `[N]`, -1 for none, and which labels are `unsure`.

    Behind an unsure label is the class that the row's threshold decides on, or the most probable one without a
    threshold.

    Args:
        threshold_of: of two classes, the one that thresholds decide on; default: the second.
    """
    predicted = class_numbers(rows["label"], classes)
    unsure = is_one_of(rows["label"], (UNSURE,))
    if unsure.any():
        chosen = rows.filter(pa.array(unsure))
        probs, thresholds = probabilities(chosen, classes), _floats(chosen["decision_threshold"])
        best = np.where(np.isfinite(probs).all(axis=1), np.nan_to_num(probs).argmax(axis=1), -1)
        # Exact: both columns are float32.
        on = classes.index(threshold_of) if threshold_of else len(classes) - 1
        decided = np.where(probs[:, on] >= thresholds, on, 1 - on)
        predicted[unsure] = np.where(np.isfinite(thresholds) & (best >= 0), decided, best)
    return predicted, unsure


def class_numbers(column: pa.ChunkedArray, classes: Sequence[str]) -> Indices:
    """Class names as their numbers, -1 for null and other names."""
    indices, words = _words(column)
    of_word = np.array([*(classes.index(word) if word in classes else -1 for word in words), -1], np.int32)
    return of_word[indices]


def is_one_of(column: pa.ChunkedArray, names: Sequence[str]) -> Bools:
    """Which rows of a text column have one of the names, `[N]`; not those with null."""
    indices, words = _words(column)
    return np.array([*(word in names for word in words), False])[indices]


def numbered(column: pa.ChunkedArray) -> tuple[Indices, list[str]]:
    """Names as numbers in the order in which they first occur, -1 for null; and the names."""
    indices, words = _words(column)
    first = np.full(len(words) + 1, len(indices))
    # The last one written is the first row; the end is for null
    first[indices[::-1]] = np.arange(len(indices) - 1, -1, -1, dtype=np.int32)
    order = np.argsort(first[:-1], kind="stable")
    used = order[first[order] < len(indices)]
    numbers = np.full(len(words) + 1, -1, np.int32)
    numbers[used] = np.arange(len(used))
    return numbers[indices], [words[i] for i in used.tolist()]


def _words(column: pa.ChunkedArray) -> tuple[Indices, list[str]]:
    """A text column as places in a list of distinct words, `[N]` int32, -1 for null; and the words."""
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
        column = pa.chunked_array([chunk.dictionary_encode() for chunk in column.chunks], _WORDS)
    if not column.num_chunks:
        return np.zeros(0, np.int32), []
    column = column.unify_dictionaries()
    indices = [np.asarray(chunk.indices.fill_null(-1), dtype=np.int32) for chunk in column.chunks]
    words: list[str] = column.chunk(0).dictionary.to_pylist()  # the same in every chunk
    return np.concatenate(indices), words


@contextmanager
def _readable(table: Path) -> Iterator[None]:
    """Raise errors while reading a predictions table as InputError."""
    try:
        yield
    except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
        raise InputError(
            f"{display_path(bytes(table))} cannot be read as a predictions table: {' '.join(str(error).split())}",
            fix="name a table that `cancernet classify` wrote, as Parquet or CSV",
        ) from error


def _floats(column: pa.ChunkedArray) -> F64:
    """A number column; null becomes NaN."""
    found = np.empty(len(column))
    at = 0
    for chunk in column.chunks:  # no copy of the whole column on the way
        found[at : at + len(chunk)] = chunk.cast(pa.float64()).to_numpy(zero_copy_only=False)
        at += len(chunk)
    return found
