"""The split given by folders such as `train` and `test`, or `fold1` and `fold2`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.files import display_path
from cancernet_cli.data.discovery.layout import folder_names
from cancernet_cli.data.splits.given_splits import SPLIT_WORDS, GivenSplit

_FOLD = re.compile(r"fold[ _-]?(\d{1,4})", re.IGNORECASE)


def split_of_folders(base: Path, locations: Sequence[bytes], *, prefer: Literal["fold", "split"]) -> GivenSplit | None:
    """The split of N files by the outermost folder below `base` with such a name; None if there are not two of them.

    Args:
        locations: absolute paths.
        prefer: the kind to use if there are both.

    Raises:
        InputError: some files are in such folders, others are not.
    """
    root = os.fsencode(base)

    @lru_cache(maxsize=4096)
    def values(folder: bytes) -> dict[str, int | str]:
        names = folder_names(folder, root)[1:]
        folds = (int(match[1]) for match in map(_FOLD.fullmatch, names) if match)
        words = (SPLIT_WORDS[name.lower()] for name in names if name.lower() in SPLIT_WORDS)
        first = {"fold": next(folds, None), "split": next(words, None)}
        return {kind: value for kind, value in first.items() if value is not None}

    by_file = [values(os.path.dirname(location)) for location in locations]
    kinds: list[Literal["fold", "split"]] = ["fold", "split"]
    present = [kind for kind in kinds if len({found[kind] for found in by_file if kind in found}) > 1]
    if not present:
        return None
    kind = prefer if prefer in present else present[0]
    if without := [location for location, found in zip(locations, by_file, strict=True) if kind not in found]:
        seen = " and ".join(str(value) for value in sorted({found[kind] for found in by_file if kind in found}))
        raise InputError(
            f"folders give a {kind} ({seen}), but {len(without)} of {len(locations)} images are in no such folder; the "
            f"first: {display_path(without[0])}",
            fix="move them, or pass --resplit to have the split drawn",
        )
    return GivenSplit(kind, np.array([found[kind] for found in by_file]))
