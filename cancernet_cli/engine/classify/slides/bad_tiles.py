"""When so many tiles of a slide have failed that the others are not read."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from cancernet_cli.core.arrays import Bools
from cancernet_cli.core.records import Failure

NOT_READ = Failure("tile", "NotRead", "too many of the tiles before it failed")
FEWEST_BAD = 64  # failed tiles before a slide is given up, however few --max-bad-tiles allows


def one_too_many(errors: Mapping[int, str], is_there: Bools, most_share: float, wanted: int) -> int | None:
    """The number of the tile with which too many have failed; None if they have not.

    Only tiles before the first missing one are counted, so that the answer in the end is the same whatever was
    read together, and after an interruption.

    Args:
        errors: by tile. is_there: `[T]`, whether a tile is done. most_share: `--max-bad-tiles`. wanted: tiles to read.
    """
    most = max(FEWEST_BAD, math.floor(most_share * wanted))
    if len(errors) <= most:
        return None
    known = len(is_there) if is_there.all() else int(np.argmin(is_there))
    failed = sorted(number for number in errors if number < known)
    return failed[most] if len(failed) > most else None


def too_many(failed: int, read: int, wanted: int, first: str) -> Failure:
    """Why a slide of which only `read` of `wanted` tiles were read has no result."""
    words = f"{failed:,} of the first {read:,} of {wanted:,} tiles failed, the first: {first}"
    return Failure("tile", "TooManyBadTiles", words)
