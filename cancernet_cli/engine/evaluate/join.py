"""Two tables of the same images, joined on the path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cancernet_cli.core.arrays import I64, Bools
from cancernet_cli.core.errors import InputError
from cancernet_cli.engine.evaluate.count import Change, prediction_batches, readable
from cancernet_cli.metrics.scores import Scores

_TEXT = ("path", "status", "label", "true_label", "patient")


@dataclass(frozen=True)
class Pairs:
    """The images that both tables have with a prediction and a label, in the same order, and what is left out.

    unmatched_this, unmatched_other: rows whose path the other table lacks. unusable: rows of the same path that failed
    in one of them, or have no label.
    """

    this: Scores
    other: Scores
    unmatched_this: int
    unmatched_other: int
    unusable: int


def join(
    this: Path,
    other: Path,
    classes: Sequence[str],
    change_this: Change | None,
    change_other: Change | None,
    *,
    relabelled: bool,
) -> Pairs:
    """Join two predictions tables on their paths, in whatever order they stand there.

    Labels and patients are those of `this`, and where it has none those of `other`.

    Args:
        classes: with two, the second is the positive one.
        relabelled: the labels of `this` come from elsewhere; those of `other` are not looked at.

    Raises:
        InputError: a path stands twice, no path is in both, the labels contradict each other, or nothing is left.
    """
    one, two = _rows(this, classes, change_this), _rows(other, classes, change_other)
    at = pc.index_in(one["path"], value_set=two["path"].combine_chunks())
    matched = pc.is_valid(at)
    n = pc.sum(matched).as_py() or 0
    if not n:
        raise InputError(
            f"no path in {this} is in {other}",
            fix="compare tables of the same images, made from the same folder, so that their paths agree",
        )
    counts = len(one) - n, len(two) - n
    one, two = one.filter(matched), two.take(pc.drop_null(at))
    if not relabelled:
        _check_labels(one, two, this, other)
    truth = one["true_label"] if relabelled else pc.coalesce(one["true_label"], two["true_label"])
    patients = pc.coalesce(one["patient"], two["patient"]).combine_chunks().dictionary_encode()
    labels = _numbers(truth, classes)
    probs = [np.column_stack([np.asarray(rows[f"prob_{c}"], np.float64) for c in classes]) for rows in (one, two)]
    decided = [_numbers(rows["label"], classes) for rows in (one, two)]
    usable: Bools = labels >= 0
    for rows, p, label in zip((one, two), probs, decided, strict=True):
        ok = np.asarray(pc.fill_null(pc.is_in(rows["status"], pa.array(["ok", "partial"])), False))
        usable = usable & ok & (label >= 0) & np.isfinite(p).all(axis=1)
    if not usable.any():
        raise InputError(
            f"none of the {n:,} images that {this} and {other} share has a label and a prediction in both",
            fix="give the labels with --labels, or compare tables that have them",
        )
    who = np.asarray(patients.indices.fill_null(-1), dtype=np.int64)
    left, right = (
        Scores.of(
            labels[usable],
            p[usable],
            classes=classes,
            predicted=label[usable],
            patients=who[usable],
            patient_names=patients.dictionary.to_pylist(),
        )
        for p, label in zip(probs, decided, strict=True)
    )
    return Pairs(left, right, *counts, unusable=int((~usable).sum()))


def _rows(table: Path, classes: Sequence[str], change: Change | None) -> pa.Table:
    """The columns that a comparison needs, with plain strings."""
    names = [*_TEXT, *(f"prob_{name}" for name in classes)]
    types = [pa.string() if name in _TEXT else pa.float32() for name in names]
    schema = pa.schema(list(zip(names, types, strict=True)))
    with readable(table):
        batches = (change(b) if change else b for b in prediction_batches(table, classes, paths=True))
        rows = pa.Table.from_batches([batch.select(names).cast(schema) for batch in batches], schema)
    twice = len(rows) - pc.count_distinct(rows["path"]).as_py()
    if twice:
        raise InputError(f"{table} has {twice:,} paths more than once", fix="compare tables with one row a file")
    return rows


def _check_labels(one: pa.Table, two: pa.Table, this: Path, other: Path) -> None:
    """Raise when both tables have a label for an image, and not the same."""
    differ = pc.fill_null(pc.not_equal(one["true_label"], two["true_label"]), False)
    n = pc.sum(differ).as_py() or 0
    if n:
        first = one.filter(differ).slice(0, 1).to_pylist()[0]
        second = two.filter(differ).slice(0, 1).to_pylist()[0]
        raise InputError(
            f"{this} and {other} give {n:,} images different true labels: {first['path']!r} is "
            f"{first['true_label']!r} in the one and {second['true_label']!r} in the other",
            fix="give the right ones with --labels FILE",
        )


def _numbers(column: pa.ChunkedArray, classes: Sequence[str]) -> I64:
    """Class names as their numbers, -1 for null and for what is no class."""
    found = pc.fill_null(pc.index_in(column, value_set=pa.array(classes, pa.string())), -1)
    return np.asarray(found, dtype=np.int64)
