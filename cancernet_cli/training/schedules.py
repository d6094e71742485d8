"""Learning rates by step, and the epochs at which stages are unfrozen."""

from __future__ import annotations

import math


def rate_at(step: int, steps: int, warm_up: float, start: int = 0) -> float:
    """Fraction of the peak learning rate at a step: linear warm-up, then half a cosine down to 0.

    Loshchilov, Hutter, arXiv:1608.03983, without restarts.

    Args:
        warm_up: fraction of the steps in which the rate rises. start: step up to which the parameters are frozen.
    """
    if step < start:
        return 0.0
    step, steps = step - start, steps - start
    rise = max(1, round(warm_up * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))


def thaw_epochs(stages: int, epochs: int, share: float) -> list[int]:
    """The epoch at which each stage is unfrozen, the deepest first.

    Args:
        share: fraction of the epochs before the deepest stage is unfrozen, and between stages.

    Returns:
        `stages` ascending numbers, each less than `epochs`.
    """
    return [min(epochs - 1, math.floor(share * epochs * (k + 1) + 1e-9)) for k in range(stages)]
