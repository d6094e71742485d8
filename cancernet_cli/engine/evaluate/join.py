"""Two tables of the same images, joined on the path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cancernet_cli.core.arrays import Bools
from cancernet_cli.core.errors import InputError
from cancernet_cli.engine.evaluate.labelled import (
    Change,
    class_numbers,
    decisions,
    has_prediction,
    numbered,
    probabilities,
    read_rows,
    was_seen,
)
from cancernet_cli.metrics.scores import Scores


@dataclass(frozen=True)
class Pairs:
    """Images with a prediction in both tables and a label, in the same order, and how many rows are omitted.

    unmatched_this, unmatched_other: rows whose path is missing from the other table. unusable: rows in both that failed
    in one of them or have no label. seen: `[N]` each, training images of the two models.
    """

    this: Scores
    other: Scores
    unmatched_this: int
    unmatched_other: int
    unusable: int
    seen: tuple[Bools, Bools]


def join(
    this: Path,
    other: Path,
    classes: Sequence[str],
    change_this: Change,
    change_other: Change,
    *,
    relabelled: bool,
    thresholds_of: tuple[str, str] = ("", ""),
) -> Pairs:
    """Join two predictions tables on their paths, in any order of rows.

    Labels and patients are those of `this`, and of `other` where `this` has none.

    Args:
        classes: with two, the second is the positive one.
        relabelled: labels come from elsewhere, not from `other`. thresholds_of: as in `labelled.decisions`.

    Raises:
        InputError: a path occurs twice, no path is in both, the labels contradict each other, or no row is left.
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
    truth = one["true_label"] if relabelled else pc.coalesce(*_texts("true_label", one, two))
    patients, names = numbered(pc.coalesce(*_texts("patient", one, two)))
    labels = class_numbers(truth, classes)
    probs = [probabilities(rows, classes) for rows in (one, two)]
    decided = [decisions(rows, classes, on)[0] for rows, on in zip((one, two), thresholds_of, strict=True)]
    usable = labels >= 0
    for rows, p, label in zip((one, two), probs, decided, strict=True):
        usable = usable & has_prediction(rows) & (label >= 0) & np.isfinite(p).all(axis=1)
    if not usable.any():
        raise InputError(
            f"none of the {n:,} images that {this} and {other} share has a label and a prediction in both",
            fix="provide labels with --labels, or compare tables that have them",
        )
    of = partial(Scores.of, classes=classes, patients=patients[usable], patient_names=names)
    left, right = (
        of(labels[usable], p[usable], predicted=label[usable]) for p, label in zip(probs, decided, strict=True)
    )
    return Pairs(
        left, right, *counts, unusable=int((~usable).sum()), seen=(was_seen(one)[usable], was_seen(two)[usable])
    )


def _rows(table: Path, classes: Sequence[str], change: Change) -> pa.Table:
    """The rows of a table, with their paths.

    Raises:
        InputError: a path occurs twice.
    """
    rows = read_rows(table, classes, change, paths=True)
    twice = len(rows) - pc.count_distinct(rows["path"]).as_py()
    if twice:
        raise InputError(f"{table} has {twice:,} duplicate paths", fix="compare tables with one row per file")
    return rows


def _texts(name: str, *tables: pa.Table) -> list[pa.ChunkedArray]:
    return [rows[name].cast(pa.string()) for rows in tables]


def _check_labels(one: pa.Table, two: pa.Table, this: Path, other: Path) -> None:
    """Raise if both tables label an image, and differently."""
    differ = pc.fill_null(pc.not_equal(*_texts("true_label", one, two)), False)
    n = pc.sum(differ).as_py() or 0
    if n:
        first = one.filter(differ).slice(0, 1).to_pylist()[0]
        second = two.filter(differ).slice(0, 1).to_pylist()[0]
        raise InputError(
            f"{this} and {other} have different true labels for {n:,} images: {first['path']!r} is "
            f"{first['true_label']!r} in one and {second['true_label']!r} in the other",
            fix="provide the correct labels with --labels FILE",
        )
