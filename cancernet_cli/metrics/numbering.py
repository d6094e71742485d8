"""Numbers of groups, such as patients, without sorting all images."""

from __future__ import annotations

import numpy as np

from cancernet_cli.core.arrays import I64


def distinct(numbers: np.ndarray) -> I64:
    """The distinct values of numbers `[N]` of at least 0, ascending."""
    if _is_dense(numbers):
        return np.flatnonzero(np.bincount(numbers))
    return np.unique(numbers)


def renumbered(numbers: np.ndarray) -> I64:
    """Numbers `[N]` of at least 0 as their places among the distinct ones, `[N]`."""
    if not _is_dense(numbers):
        return np.unique(numbers, return_inverse=True)[1].reshape(-1)
    present = np.bincount(numbers) > 0
    return np.asarray((np.cumsum(present) - 1)[numbers], dtype=np.int64)


def _is_dense(numbers: np.ndarray) -> bool:
    """Whether a table by number takes no more memory than the numbers themselves."""
    return len(numbers) > 0 and int(numbers.min()) >= 0 and int(numbers.max()) <= len(numbers)
