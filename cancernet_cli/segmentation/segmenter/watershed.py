"""Touching nuclei separated by a watershed from the peaks of the distance transform."""

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
from cancernet_cli.segmentation.segmenter.threshold import Threshold

# A peak of the distance transform is a nucleus's centre if it is the highest within PEAK_RADIUS_PX and at least
# MIN_RADIUS_PX from the background; at 40x (0.25 um/px) nuclei have a radius of 10 to 25 pixels.
PEAK_RADIUS_PX = 7
MIN_RADIUS_PX = 3.0


class Watershed(nn.Module):
    """The threshold's mask, split along the ridges between nuclei and without fragments too thin to be one.

    Runs in OpenCV, image by image: masks are copied to the CPU and back. On a GPU this is by far the slowest segmenter.
    """

    def __init__(self) -> None:
        super().__init__()
        self.threshold = Threshold()

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, pixels: Tensor) -> Tensor:
        """`[B, 3, H, W]` float, 0 to 1, to `[B, 1, H, W]` float32, 0 or 1; all 0 for an unstained image."""
        masks = self.threshold(pixels)[:, 0].to(torch.uint8).cpu().numpy()  # waits for the device
        split = np.stack([split_nuclei(mask) for mask in masks])
        return torch.from_numpy(split).to(pixels.device)[:, None].float()


def split_nuclei(mask: Pixels) -> Pixels:
    """Split a binary mask between touching nuclei (Meyer's flooding, `cv2.watershed`).

    Args:
        mask: `[H, W]` uint8, 0 or 1.

    Returns:
        `[H, W]` uint8, 0 or 1: inside a nucleus, not on a ridge.
    """
    # A border of background: a mask without any, all nucleus, would have no distances.
    rimmed = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = np.asarray(cv2.distanceTransform(rimmed, cv2.DIST_L2, 5))[1:-1, 1:-1]
    # A ragged outline gives the transform many small peaks, each of which would split the nucleus.
    distance = cv2.GaussianBlur(distance, (0, 0), 1.5)
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * PEAK_RADIUS_PX + 1, 2 * PEAK_RADIUS_PX + 1))
    peaks = (distance >= cv2.dilate(distance, window)) & (distance >= MIN_RADIUS_PX)
    count, markers = cv2.connectedComponents(peaks.astype(np.uint8))
    if count == 1:
        return np.zeros_like(mask)
    # No background marker: OpenCV floods along the smallest colour differences, so background would flood the flanks
    # of nuclei. Instead, nuclei flood everything and the mask crops them.
    relief = cv2.cvtColor(np.uint8(255) - _stretched(distance), cv2.COLOR_GRAY2BGR)
    regions = np.asarray(cv2.watershed(relief, markers.astype(np.int32)))
    inside = (regions > 0) & (mask > 0)
    # A component of the mask without a peak is too thin to be a nucleus, whichever marker flooded it.
    pieces, piece = cv2.connectedComponents(mask)
    has_peak = np.bincount(piece[peaks], minlength=pieces) > 0
    nuclei: Pixels = (inside & has_peak[piece]).astype(np.uint8)
    return nuclei


def _stretched(distance: NDArray[Any]) -> Pixels:
    relief: Pixels = np.clip(np.rint(distance * (255 / distance.max())), 0, 255).astype(np.uint8)
    return relief


@segmenters.register("watershed", summary="the threshold's mask, split between touching nuclei", baseline=True)
def watershed(model: Path | None) -> nn.Module:
    """Nuclei by watershed from distance-transform markers."""
    return Watershed()
