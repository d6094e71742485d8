"""Nuclei parted from their neighbours: watershed from the peaks of the distance transform."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.segmentation.base import segmenters
from cancernet_cli.segmentation.threshold import Threshold

# A peak of the distance transform is the centre of a nucleus when it is the highest within this many pixels and at
# least this far from the background; at 40x (0.25 um per pixel) a nucleus has a radius of 10 to 25 pixels.
PEAK_RADIUS_PX = 7
SMALLEST_RADIUS_PX = 3.0


class Watershed(nn.Module):
    """The threshold's mask, cut along the ridges between nuclei and without what is too thin to be one.

    Works image by image in OpenCV: the pixels wait for the device once, go to the CPU and come back. On a GPU this is
    by far the slowest segmenter.
    """

    def __init__(self) -> None:
        super().__init__()
        self.threshold = Threshold()

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, pixels: Tensor) -> Tensor:
        """`[B, 3, H, W]` float, 0 to 1, to `[B, 1, H, W]` float32, 0 or 1; all 0 where nothing is stained."""
        masks = self.threshold(pixels)[:, 0].to(torch.uint8).cpu().numpy()  # the wait on the device
        parted = np.stack([part(mask) for mask in masks])
        return torch.from_numpy(parted).to(pixels.device)[:, None].float()


def part(mask: Pixels) -> Pixels:
    """A binary mask cut between touching nuclei (Meyer's flooding, as `cv2.watershed`).

    Args:
        mask: `[H, W]` uint8, 0 or 1.

    Returns:
        `[H, W]` uint8, 0 or 1: inside a nucleus, not on a ridge.
    """
    # A rim of background: without any, as in an image that is all nucleus, the transform has nothing to measure to.
    rimmed = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = np.asarray(cv2.distanceTransform(rimmed, cv2.DIST_L2, 5))[1:-1, 1:-1]
    # Smoothing first: the transform of a ragged outline has many small peaks, and each would cut the nucleus.
    distance = cv2.GaussianBlur(distance, (0, 0), 1.5)
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * PEAK_RADIUS_PX + 1, 2 * PEAK_RADIUS_PX + 1))
    peaks = (distance >= cv2.dilate(distance, window)) & (distance >= SMALLEST_RADIUS_PX)
    count, markers = cv2.connectedComponents(peaks.astype(np.uint8))
    if count == 1:
        return np.zeros_like(mask)
    # No marker for the background: OpenCV floods along the smallest differences in colour, so it would run over the
    # nuclei's flanks. Instead the nuclei flood everything and the mask cuts them out.
    relief = cv2.cvtColor(np.uint8(255) - _stretched(distance), cv2.COLOR_GRAY2BGR)
    regions = np.asarray(cv2.watershed(relief, markers.astype(np.int32)))
    inside = (regions > 0) & (mask > 0)
    # A piece of the mask without a peak of its own is too thin to be a nucleus, whoever flooded it.
    pieces, piece = cv2.connectedComponents(mask)
    has_peak = np.bincount(piece[peaks], minlength=pieces) > 0
    nuclei: Pixels = (inside & has_peak[piece]).astype(np.uint8)
    return nuclei


def _stretched(distance: NDArray[Any]) -> Pixels:
    relief: Pixels = np.clip(np.rint(distance * (255 / distance.max())), 0, 255).astype(np.uint8)
    return relief


@segmenters.register("watershed", summary="the threshold's mask cut between touching nuclei", needs_model=False)
def watershed(model: Path | None) -> nn.Module:
    """Nuclei by distance-transform markers and watershed."""
    return Watershed()
