"""How fast the weights move at each step, and when each part of a network begins to."""

from __future__ import annotations

import math


def rate_at(step: int, steps: int, warm_up: float) -> float:
    """Share of the peak learning rate at a step: a straight rise, then half a cosine down to nothing.

    Loshchilov, Hutter, arXiv:1608.03983, without restarts.

    Args:
        warm_up: share of the steps in which the rate rises.
    """
    rise = max(1, round(warm_up * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))


def rate_from(step: int, start: int, steps: int, warm_up: float) -> float:
    """`rate_at` for a part that stands still until step `start` and then has a warm-up and a cosine of its own."""
    return 0.0 if step < start else rate_at(step - start, steps - start, warm_up)


def thaw_epochs(stages: int, epochs: int, share: float) -> list[int]:
    """After how many epochs each stage begins to learn, the deepest first.

    Args:
        share: of the epochs that pass before the deepest stage begins, and again before each next one.

    Returns:
        `stages` numbers, rising, each less than `epochs`.
    """
    return [min(epochs - 1, math.floor(share * epochs * (k + 1) + 1e-9)) for k in range(stages)]
