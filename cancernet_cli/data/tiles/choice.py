"""Choose a representative sample of a slide's tiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cancernet_cli.core.arrays import I64


def spread_tiles(x: I64, y: I64, count: int, rng: Generator) -> I64:
    """Indices of at most `count` of T tiles, evenly spread over the slide, ascending.

    The tiles are ordered along a Morton curve, which keeps neighbours close, and one random tile is drawn from each of
    `count` equal segments (as in the generalised random tessellation of Stevens and Olsen, J. Am. Stat. Assoc.
    99(465):262-278, 2004).
    `x`, `y`: `[T]` left and top edges of the tiles, 0 or more.
    """
    if len(x) <= count:
        return np.arange(len(x), dtype=np.int64)
    order = np.argsort(_morton(x, y), kind="stable")
    edges = np.arange(count + 1) * len(x) // count
    return np.sort(order[rng.integers(edges[:-1], edges[1:])])


def even_shares(counts: Sequence[int], total: int) -> list[int]:
    """How many of each kind to take, at most `total` together: equally many, as far as each kind has them."""
    shares = [0] * len(counts)
    for place, kind in enumerate(sorted(range(len(counts)), key=lambda kind: counts[kind])):
        shares[kind] = min(counts[kind], (total - sum(shares)) // (len(counts) - place))
    return shares


def _morton(x: I64, y: I64) -> NDArray[np.uint64]:
    """`[T]`: interleaved bits of the ranks of x and y; ranks fit in 32 bits."""
    code = np.zeros(len(x), np.uint64)
    for shift, values in enumerate((x, y)):
        rank = np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.uint64)
        for bit in range(int(rank.max(initial=0)).bit_length()):
            code |= ((rank >> np.uint64(bit)) & np.uint64(1)) << np.uint64(2 * bit + shift)
    return code
