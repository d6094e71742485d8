"""Which of a slide's tiles stand for it where there are more than wanted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def spread_tiles(x: Ints, y: Ints, count: int, rng: Generator) -> Ints:
    """At most `count` of T tiles, evenly spread over the slide, in their order.

    The tiles are laid on Morton's curve, on which neighbours are near each other, and the curve is cut into `count`
    equal pieces of which each gives a random tile (as the generalised random tessellation of Stevens and Olsen,
    J. Am. Stat. Assoc. 99(465):262-278, 2004, samples areas).

    Args:
        x, y: `[T]`, 0 or more.
    """
    if len(x) <= count:
        return np.arange(len(x), dtype=np.int64)
    order = np.argsort(_morton(x, y), kind="stable")
    edges = np.arange(count + 1) * len(x) // count
    return np.sort(order[rng.integers(edges[:-1], edges[1:])])


def even_shares(counts: Sequence[int], total: int) -> list[int]:
    """How many of each kind to take, at most `total` together: alike, and more of those that have more."""
    shares = [0] * len(counts)
    for place, kind in enumerate(sorted(range(len(counts)), key=lambda kind: counts[kind])):
        shares[kind] = min(counts[kind], (total - sum(shares)) // (len(counts) - place))
    return shares


def _morton(x: Ints, y: Ints) -> NDArray[np.uint64]:
    """`[T]`: the bits of x and y in turn; tiles' places are brought to their ranks first, so that 32 bits will do."""
    code = np.zeros(len(x), np.uint64)
    for shift, values in enumerate((x, y)):
        rank = np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.uint64)
        for bit in range(int(rank.max(initial=0)).bit_length()):
            code |= ((rank >> np.uint64(bit)) & np.uint64(1)) << np.uint64(2 * bit + shift)
    return code
