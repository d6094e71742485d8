"""Pictures that look like H&E from afar, for tests that need pixels but no tissue."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def he_like(seed: int, width_px: int = 120, height_px: int = 90) -> NDArray[np.uint8]:
    """Purple nuclei on pink stroma with a hole of glass; `[H, W, 3]` uint8 RGB, the same for the same seed."""
    random = np.random.default_rng(seed)
    image = np.full((height_px, width_px, 3), (231, 178, 208), np.uint8)
    cv2.circle(image, (width_px // 5, height_px // 4), min(width_px, height_px) // 6, (244, 242, 243), -1)
    for _ in range(width_px * height_px // 300):
        x, y = int(random.integers(width_px)), int(random.integers(height_px))
        purple = (int(random.integers(80, 120)), int(random.integers(50, 80)), int(random.integers(130, 160)))
        cv2.circle(image, (x, y), int(random.integers(2, 5)), purple, -1, cv2.LINE_AA)
    noise = random.normal(0, 4, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)
