"""Stain normalisation: scale each channel's optical density to a common maximum."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cancernet_cli.core.pixels import DARKEST

SHARE = 0.98  # percentile of optical density that is scaled to TARGET; ignores dirt and pen marks
TARGET = 0.8  # optical density at that percentile in well-stained H&E
LEAST = 0.05  # lower bound of the percentile, so that views without tissue are not overstretched
EVERY = 3  # one in three pixels is sampled; the percentile is the same to two digits


def normalize_stain(pixels: Tensor, *, balance: bool = False) -> Tensor:
    """Scale each channel's optical density (-log10 of a pixel) so that its 98th percentile is 0.8.

    Staining time and illumination scale optical densities (Beer-Lambert law), so this removes most differences in
    intensity and hue between laboratories. Scaling a density by g raises the pixel to the power of g.

    Args:
        pixels: `[B, 3, H, W]` float, 0 to 1; each view is scaled separately.
        balance: first divide each channel by its 98th percentile, which removes the tint of the lightest pixels, be it
            from the lamp or from tissue that fills the field.

    Returns:
        The same shape, 0 to 1.
    """
    sampled = pixels.flatten(2)[:, :, ::EVERY].float()
    if balance:
        white = _percentile(sampled, SHARE).clamp_min(DARKEST)
        pixels, sampled = pixels / white[..., None], sampled / white
    dark = _percentile(sampled, 1 - SHARE).clamp(DARKEST, 1.0)
    power = TARGET / (-torch.log10(dark)).clamp_min(LEAST)
    return pixels.clamp(DARKEST, 1.0) ** power[..., None].to(pixels.dtype)


def _percentile(values: Tensor, share: float) -> Tensor:
    """The value of `[B, C, N]` that this share is below, `[B, C, 1]`.

    By the top k values beyond it, which is faster than sorting.
    """
    count = values.shape[2]
    rank = min(count, math.floor(share * count) + 1)
    is_low = rank <= count // 2
    beyond = values.topk(rank if is_low else count - rank + 1, dim=2, largest=not is_low).values
    return beyond[..., -1:]
