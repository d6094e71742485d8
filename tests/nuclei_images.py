"""Pictures with nuclei at known places."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from cancernet_cli.core.arrays import Labels, Pixels

STROMA, CHROMATIN = (232, 190, 214), (96, 60, 150)


def with_nuclei(
    width_px: int, height_px: int, centers: Sequence[tuple[int, int]], radius_px: int = 14
) -> tuple[Pixels, Labels]:
    """Purple discs on pink, `[H, W, 3]` uint8 RGB, and their labels 1 to N."""
    image = np.full((height_px, width_px, 3), STROMA, np.uint8)
    labels = np.zeros((height_px, width_px), np.int32)
    for number, center in enumerate(centers, start=1):
        cv2.circle(labels, center, radius_px, number, -1)
    image[labels > 0] = CHROMATIN
    noise = np.random.default_rng(0).integers(-3, 4, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), labels


def in_a_grid(width_px: int, height_px: int, step_px: int) -> list[tuple[int, int]]:
    """Places at equal distances, the first half a step from the corner."""
    first = step_px // 2
    return [(x, y) for y in range(first, height_px, step_px) for x in range(first, width_px, step_px)]


def ellipse(height_px: int, width_px: int, axes: tuple[int, int]) -> NDArray[np.float32]:
    """A mask of one filled ellipse in the middle."""
    mask = np.zeros((height_px, width_px), np.float32)
    cv2.ellipse(mask, (width_px // 2, height_px // 2), axes, 0, 0, 360, 1.0, -1)
    return mask
