"""Dim the pixels outside a mask."""

from __future__ import annotations

from torch import Tensor


def combine(pixels: Tensor, mask: Tensor, background_weight: float) -> Tensor:
    """Dim pixels by a mask: `pixel * (mask + (1 - mask) * background_weight)`.

    Args:
        pixels: `[B, 3, H, W]` float, 0 to 1.
        mask: `[B, 1, H, W]` float, 0 to 1.
        background_weight: weight of the background, 0 to 1: 0 blanks it, as the paper does; 1 ignores the mask.

    Returns:
        `[B, 3, H, W]` float, 0 to 1.
    """
    return pixels * (mask * (1 - background_weight) + background_weight)
