"""The split given by folders such as `train` and `test`, or `fold1` and `fold2`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.files import display_path
from cancernet_cli.data.discovery.layout import folder_names, split_named
from cancernet_cli.data.splits.given_splits import GivenSplit

_FOLD = re.compile(r"fold[ _-]?(\d{1,4})", re.IGNORECASE)


def split_of_folders(
    base: Path,
    locations: Sequence[bytes],
    *,
    prefer: Literal["fold", "split"],
    on_problem: Callable[[str], None] = lambda message: None,
) -> GivenSplit | None:
    """The split of N files by the outermost folder below `base` with such a name; None if there are not two of them.

    Args:
        locations: absolute paths.
        prefer: the kind to use if there are both.
        on_problem: called with a message if there are such folders, but no two folds, or not both train and test.

    Raises:
        InputError: some files are in such folders, others are not.
    """
    root = os.fsencode(base)

    @lru_cache(maxsize=4096)
    def values_of(folder: bytes) -> dict[str, int | str]:
        names = folder_names(folder, root)[1:]
        folds = (int(match[1]) for match in map(_FOLD.fullmatch, names) if match)
        words = filter(None, map(split_named, names))
        first = {"fold": next(folds, None), "split": next(words, None)}
        return {kind: value for kind, value in first.items() if value is not None}

    by_file = [values_of(os.path.dirname(location)) for location in locations]
    kinds: list[Literal["fold", "split"]] = ["fold", "split"]
    seen = {kind: {found[kind] for found in by_file if kind in found} for kind in kinds}
    present = [kind for kind in kinds if len(seen[kind]) > 1 and (kind == "fold" or seen[kind] >= {"train", "test"})]
    if not present:
        for kind, values in seen.items():
            if values:
                names = " and ".join(map(str, sorted(values)))
                needed = "two folds" if kind == "fold" else "train and test"
                on_problem(f"folders give a {kind} ({names}), which is ignored, because a split needs {needed}")
        return None
    kind = prefer if prefer in present else present[0]
    if without := [location for location, found in zip(locations, by_file, strict=True) if kind not in found]:
        names = " and ".join(map(str, sorted(seen[kind])))
        raise InputError(
            f"folders give a {kind} ({names}), but {len(without)} of {len(locations)} images are in no such folder; "
            f"the first: {display_path(without[0])}",
            fix="move them, or pass --resplit to have the split drawn",
        )
    return GivenSplit(kind, np.array([found[kind] for found in by_file]))
