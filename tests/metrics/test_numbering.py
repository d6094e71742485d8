"""Numbers of groups are those of NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from cancernet_cli.metrics.numbering import distinct, renumbered


@pytest.mark.parametrize("numbers", [[3, 1, 3, 0], [10**12, 5, 5], [], [0]])
def test_numbers_are_those_of_numpy(numbers: list[int]) -> None:
    given = np.array(numbers, np.int64)
    values, at = np.unique(given, return_inverse=True)
    assert distinct(given).tolist() == values.tolist()
    assert renumbered(given).tolist() == at.tolist()
