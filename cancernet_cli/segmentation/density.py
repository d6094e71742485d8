"""Pixels as if stained and lit alike: each channel's optical density scaled to one darkest value."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cancernet_cli.core.pixels import DARKEST

SHARE = 0.98  # of a view's pixels are lighter than what is scaled to TARGET: dirt and pen do not decide
TARGET = 0.8  # optical density; what SHARE comes to in well stained H&E
LEAST = 0.05  # a view without tissue is not stretched beyond this
EVERY = 3  # pixels looked at; the percentile of a third of them is the same to two digits


def scale_density(pixels: Tensor, *, balance: bool = False) -> Tensor:
    """Views with the 98th percentile of each channel's optical density (-log10 of a pixel) brought to 0.8.

    Staining time and illumination scale densities (Beer and Lambert's law), so this takes out most of how laboratories
    differ in strength and hue. A density times g is a pixel to the power of g.

    Args:
        pixels: `[B, 3, H, W]` float, 0 to 1; every view is scaled by itself.
        balance: first take each channel's 98th percentile as white, so that the tint of the lightest pixels, be it of
            the lamp or of tissue that fills the field, can no longer be seen.

    Returns:
        The same shape, 0 to 1.
    """
    looked_at = pixels.flatten(2)[:, :, ::EVERY].float()
    if balance:
        white = _percentile(looked_at, SHARE).clamp_min(DARKEST)
        pixels, looked_at = pixels / white[..., None], looked_at / white
    dark = _percentile(looked_at, 1 - SHARE).clamp(DARKEST, 1)
    power = TARGET / (-torch.log10(dark)).clamp_min(LEAST)
    return pixels.clamp(DARKEST, 1) ** power[..., None].to(pixels.dtype)


def _percentile(values: Tensor, share: float) -> Tensor:
    """Of `[B, C, N]` the value that this share lies below, `[B, C, 1]`.

    The few values beyond it are sought, which is quicker than ranking all of them.
    """
    count = values.shape[2]
    rank = min(count, math.floor(share * count) + 1)
    is_low = rank <= count // 2
    beyond = values.topk(rank if is_low else count - rank + 1, dim=2, largest=not is_low).values
    return beyond[..., -1:]
