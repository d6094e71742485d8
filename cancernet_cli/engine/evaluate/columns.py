"""Columns of a predictions table that another program wrote again: other types for the same content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.files import display_path

_LABELS = ("label", "true_label")
_FIX = "convert the column, or evaluate the table that CancerNet wrote"


def check_columns(table: Path, names: Sequence[str], needed: Sequence[str], used: Sequence[str]) -> None:
    """Check the names of a table's columns.

    Raises:
        InputError: one of `needed` is missing, or one of `used` occurs twice.
    """
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(
            f"{display_path(bytes(table))} has no column {', '.join(missing)}",
            fix="name a table that `cancernet classify` wrote, with the model that wrote it",
        )
    twice = [name for name in used if list(names).count(name) > 1]
    if twice:
        raise InputError(f"{display_path(bytes(table))} has two columns {twice[0]}", fix="remove one of them")


def as_column(table: Path, name: str, column: pa.Array, wanted: pa.DataType, classes: Sequence[str]) -> pa.Array:
    """A column as the type that CancerNet writes.

    Text may come as any type of text or category, or as integers; numbers as any type of number. Of two classes, true
    and 1 are the positive one.

    Args:
        wanted: text, a dictionary of text, a number, or boolean. classes: with two, the second is the positive one.

    Raises:
        InputError: it has another type, or values that are not of it.
    """
    if column.type == wanted and not pa.types.is_dictionary(wanted):
        return column
    if pa.types.is_dictionary(column.type):
        if column.type == wanted and _is_clean(column.dictionary):
            return column
        column = column.dictionary_decode()
    try:
        if pa.types.is_dictionary(wanted):
            return _text(name, column, classes).dictionary_encode().cast(wanted)
        if wanted == pa.string():
            return _text(name, column, classes)
        if pa.types.is_boolean(wanted):
            return _booleans(column)
        return _numbers(column, wanted)
    except (_Odd, pa.ArrowException):
        kind = "text" if pa.types.is_dictionary(wanted) or wanted == pa.string() else "true or false"
        kind = "numbers" if pa.types.is_floating(wanted) else kind
        raise InputError(
            f"column {name} of {display_path(bytes(table))} has type {column.type}, not {kind}", fix=_FIX
        ) from None


class _Odd(Exception):
    """A column of a type that cannot be meant."""


def _is_clean(words: pa.Array) -> bool:
    """Whether the words of a category are distinct and none is null, so that their places stand for them."""
    return words.null_count == 0 and len(words) == len(pc.unique(words))


def _text(name: str, column: pa.Array, classes: Sequence[str]) -> pa.Array:
    kind = column.type
    if pa.types.is_null(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view():
        return column.cast(pa.string())
    if name in _LABELS and len(classes) == 2 and not {"0", "1"} & set(classes):
        return _two_classes(column, classes)
    if pa.types.is_floating(kind):  # integers with gaps, as pandas holds them
        column = column.cast(pa.int64(), safe=True)
    elif not pa.types.is_integer(kind):
        raise _Odd
    return column.cast(pa.string())


def _two_classes(column: pa.Array, classes: Sequence[str]) -> pa.Array:
    """True or 1 as the second class, false or 0 as the first."""
    if not (pa.types.is_boolean(column.type) or pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise _Odd
    numbers = column.cast(pa.int64(), safe=True)
    if not pc.all(pc.is_in(numbers.drop_null(), pa.array([0, 1], pa.int64())), min_count=0).as_py():
        raise _Odd
    return pc.take(pa.array(classes, pa.string()), numbers)


def _booleans(column: pa.Array) -> pa.Array:
    if pa.types.is_null(column.type) or pa.types.is_integer(column.type):
        return column.cast(pa.bool_())
    raise _Odd


def _numbers(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_null(kind):
        return column.cast(wanted, safe=False)
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64()).cast(wanted, safe=False)
    raise _Odd
