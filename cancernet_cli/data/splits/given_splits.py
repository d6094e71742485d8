"""The split given by a manifest or label file, in a column `fold` or `split`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.files import display_path
from cancernet_cli.data.discovery.entries import absolute
from cancernet_cli.data.discovery.tables import TextTable

SPLIT_WORDS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class GivenSplit:
    """The column and its values `[N]`: integers for `fold`; train, val or test for `split`."""

    column: Literal["fold", "split"]
    values: NDArray[Any]

    @property
    def sides(self) -> NDArray[np.str_]:
        """`[N]` as text: `fold 0` and so on, or train, val and test."""
        return np.array([f"fold {value}" for value in self.values]) if self.column == "fold" else self.values


def read_given(
    lists: Sequence[Path], base: Path, locations: Sequence[bytes], *, prefer: Literal["fold", "split"]
) -> GivenSplit | None:
    """The given split of N files, or None if no list has such a column.

    Args:
        base: the folder for paths that do not exist relative to their list's folder.
        locations: absolute paths.
        prefer: the column to use if there are both.

    Raises:
        InputError: a value is invalid, or a file has none or two.
    """
    tables = [TextTable(file, ("path", "fold", "split")) for file in lists]
    columns: list[Literal["fold", "split"]] = ["fold", "split"]
    present = [name for name in columns if any(name in table.columns for table in tables)]
    if not present:
        return None
    column = prefer if prefer in present else present[0]
    by_folder: dict[bytes, int | str] = {}
    by_base: dict[bytes, int | str] = {}
    for table in tables:
        folder = os.path.dirname(absolute(os.fsencode(table.file)))
        for line, row in table:
            if row.get(column) is None or row.get("path") is None:
                continue
            value = _value(row[column], column, table.where(line))
            name = table.real_name(row["path"])
            if by_folder.setdefault(absolute(name, folder), value) != value:
                raise InputError(
                    f"{table.where(line)} gives {display_path(name)!r} the {column} {value}, another row "
                    f"{by_folder[absolute(name, folder)]}",
                    fix="keep one of the two rows",
                )
            by_base.setdefault(absolute(name, os.fsencode(base)), value)
    found = [by_folder.get(location, by_base.get(location)) for location in locations]
    if without := [location for location, value in zip(locations, found, strict=True) if value is None]:
        raise InputError(
            f"{len(without)} of {len(found)} images have no {column}; the first: {display_path(without[0])}",
            fix="fill in the column, or pass --resplit to have the split drawn",
        )
    return GivenSplit(column, np.array(found))


def _value(value: Any, column: str, where: str) -> int | str:
    if column == "split":
        word = SPLIT_WORDS.get(str(value).strip().lower())
        if word is None:
            raise InputError(f"{where} has split {str(value)!r}", fix="use train, val and test, or pass --resplit")
        return word
    return fold_number(value, where)


def fold_number(value: Any, where: str) -> int:
    """The integer in a cell of a column `fold`; a column with gaps may have 0.0, 1.0, ...

    Raises:
        InputError: it is not an integer.
    """
    try:
        number = float(value)
        if number.is_integer():
            return int(number)
    except (TypeError, ValueError):
        pass
    raise InputError(f"{where} has fold {str(value)!r}, which is not an integer", fix="correct it, or pass --resplit")
