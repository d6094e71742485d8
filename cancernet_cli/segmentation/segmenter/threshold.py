"""Nuclei by Otsu's threshold on the haematoxylin channel."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cancernet_cli.core.pixels import DARKEST, UNMIX
from cancernet_cli.segmentation.base import segmenters

# Range of the threshold, in optical density of haematoxylin; nuclei have 0.2 to 1.
LOW, HIGH = 0.0, 2.0
# Less haematoxylin than this is background whatever the histogram: blank glass has noise, not nuclei.
MIN_DENSITY = 0.1
OPENING_PX = 5
# Standard deviation of the smoothing. Pooled Dice on the TNBC nuclei (50 images, 40x) is 0.64 without smoothing, and
# 0.70, 0.72 and 0.72 with 1, 2 and 3 pixels.
SMOOTHING_PX = 2.0
BINS = 256  # of Otsu's histogram


class Haematoxylin(nn.Module):
    """The haematoxylin channel of colour deconvolution (Ruifrok, Johnston 2001; see `core.pixels`)."""

    unmix: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Amount of haematoxylin: minus the sum over R, G, B of log10(value) times the first column of the inverse.
        column = torch.tensor(-UNMIX[:, 0], dtype=torch.float32)
        self.register_buffer("unmix", column.reshape(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """`[B, 3, H, W]` float, 0 to 1, to `[B, 1, H, W]` float32: optical density, 0 to about 2, below 0 for eosin."""
        density = torch.log10(pixels.float().clamp(min=DARKEST))
        return (density * self.unmix).sum(dim=1, keepdim=True)


class Threshold(nn.Module):
    """Otsu's threshold on smoothed haematoxylin, one per image, then a 5 x 5 opening to remove specks."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stain = Haematoxylin()
        self.register_buffer("kernel", _gaussian(SMOOTHING_PX), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """`[B, 3, H, W]` float, 0 to 1, to `[B, 1, H, W]` float32, 0 or 1; all 0 for an unstained image."""
        amount = self._smooth(self.stain(pixels))
        mask = (amount > otsu_threshold(amount, LOW, HIGH).clamp(min=MIN_DENSITY)).float()
        margin = OPENING_PX // 2
        eroded = -F.max_pool2d(-mask, OPENING_PX, stride=1, padding=margin)
        return F.max_pool2d(eroded, OPENING_PX, stride=1, padding=margin)

    def _smooth(self, amount: Tensor) -> Tensor:
        margin = self.kernel.numel() // 2
        padded = F.pad(amount, (margin, margin, margin, margin), mode="replicate")
        return F.conv2d(F.conv2d(padded, self.kernel[None, None, None]), self.kernel[None, None, :, None])


def otsu_threshold(values: Tensor, low: float, high: float) -> Tensor:
    """The threshold that maximises the between-class variance of each image's pixels.

    Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE Trans SMC 9(1), 1979. Histogram of 256 bins.
    Unlike scikit-image's, it does not wait for the device.

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


def _gaussian(deviation_px: float) -> Tensor:
    reach = round(3 * deviation_px)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation_px).square())
    return weights / weights.sum()


@segmenters.register("threshold", summary="Otsu's threshold on the haematoxylin channel", on_device=True, baseline=True)
def threshold(model: Path | None) -> nn.Module:
    """Nuclei as pixels with more haematoxylin than Otsu's threshold."""
    return Threshold()
