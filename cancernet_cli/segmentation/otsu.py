"""Otsu's threshold for a batch, without waiting for the device (scikit-image's runs on the CPU)."""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 256


def otsu_threshold(values: Tensor, low: float, high: float) -> Tensor:
    """The threshold that maximises the between-class variance of each image's pixels.

    Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE Trans SMC 9(1), 1979. Histogram of 256 bins.

    Args:
        values: `[B, 1, H, W]` float.
        low, high: the histogram's range; values outside are clamped.

    Returns:
        `[B, 1, 1, 1]` float32: values above it are foreground. `high` where all values fall into one bin.
    """
    flat = values.float().flatten(1)
    width = (high - low) / BINS
    index = ((flat - low) / width).clamp(0, BINS - 1).long()
    counts = torch.zeros(flat.shape[0], BINS, device=flat.device).scatter_add_(1, index, torch.ones_like(flat))
    share = counts / flat.shape[1]
    centres = low + width * (torch.arange(BINS, device=flat.device) + 0.5)
    below = share.cumsum(1)
    mean_below = (share * centres).cumsum(1)
    mean = mean_below[:, -1:]
    # sigma_b^2 = (mean * below - mean_below)^2 / (below * (1 - below)); an empty class has no variance.
    spread = below * (1 - below)
    between = torch.where(spread > 1e-6, (mean * below - mean_below).square() / spread.clamp(min=1e-6), 0)
    best, at = between.max(dim=1, keepdim=True)
    found = torch.where(best > 0, low + width * (at + 1), torch.full_like(best, high))
    return found[:, :, None, None]
