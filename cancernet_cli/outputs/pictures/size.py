"""Size of pictures, and resizing images to it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.pixels import resize
from cancernet_cli.outputs.pictures.lettering import BACKGROUND

LONGEST_PX = 2048


def picture_size(width: int, height: int, *, shortest_px: int) -> tuple[int, int]:
    """(width, height) with the same aspect ratio and a longer side of `shortest_px` to 2048 px."""
    longest = max(width, height)
    scale = min(max(longest, shortest_px), LONGEST_PX) / longest
    return max(1, round(width * scale)), max(1, round(height * scale))


def resized(image: Pixels, size: tuple[int, int]) -> Pixels:
    """A copy of `[h, w, 3]` pixels at (width, height): area averages where it shrinks, cubic where it grows."""
    changed = resize(image, *size, enlarge="cubic")
    return changed.copy() if changed is image else changed


def centred(picture: Any, width: int) -> Pixels:
    """Center a narrow picture in `width` px; the margins have the background color of captions."""
    missing = max(0, width - picture.shape[1])
    left = missing // 2
    filled = cv2.copyMakeBorder(picture, 0, 0, left, missing - left, cv2.BORDER_CONSTANT, value=BACKGROUND)
    return np.asarray(filled, np.uint8)
