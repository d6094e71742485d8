"""Image quality: sharpness, brightness and tissue fraction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.pixels import size_within

# Both are measured at a fixed longest side, so that images of different sizes are comparable.
BLUR_SIDE_PX = 512
TISSUE_SIDE_PX = 320
LIGHTEST = 0.95  # a quantile rather than the maximum, which a hot pixel decides

# Tuned on the 100X and 40X BreakHis fields, whose glass is greenish rather than white: there, saturation alone mistakes
# glass for tissue and pale stroma for glass. Both stains absorb green.
MAGENTA = 6  # mean of red and blue, minus green
ABSORBING_GREEN = 165
BLACK = 40  # a margin or a pen, not tissue


@dataclass(frozen=True, slots=True)
class Quality:
    """Quality of an image.

    blur: variance of the Laplacian, low in blurred images. brightness: 95th percentile of the gray values, 0 to 255,
    low in underexposed images. tissue_fraction: 0 to 1, of all pixels.
    """

    blur: float
    brightness: float
    tissue_fraction: float


def quality(image: Pixels) -> Quality:
    """Sharpness, brightness and tissue fraction of `[H, W, 3]` uint8 RGB."""
    return Quality(blur=sharpness(image), brightness=brightness(image), tissue_fraction=_tissue_fraction(image))


def sharpness(image: Pixels) -> float:
    """Variance of the Laplacian of `[H, W, 3]` uint8 RGB, low in blurred images.

    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR 2000.
    """
    grey = _shrunk(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), BLUR_SIDE_PX)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S, ksize=1))
    spread = float(deviation[0, 0])
    return spread * spread


def brightness(image: Pixels) -> float:
    """Gray value that 95 % of the pixels of `[H, W, 3]` uint8 RGB do not exceed, 0 to 255."""
    grey = _shrunk(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), BLUR_SIDE_PX)
    counts = np.bincount(grey.ravel(), minlength=256)
    return float(np.searchsorted(np.cumsum(counts), LIGHTEST * grey.size))


def _tissue_fraction(image: Pixels) -> float:
    """Fixed thresholds on stain colour; Otsu's would split a field that is all glass or all tissue."""
    smooth = cv2.blur(_shrunk(image, TISSUE_SIDE_PX), (5, 5))  # JPEG's chroma noise is not tissue
    red, green, blue = cv2.split(smooth)
    magenta = cv2.subtract(cv2.addWeighted(red, 0.5, blue, 0.5, 0), green) >= MAGENTA
    is_tissue = (magenta | (green < ABSORBING_GREEN)) & (cv2.max(cv2.max(red, green), blue) > BLACK)
    return int(np.count_nonzero(is_tissue)) / int(is_tissue.size)


def _shrunk(image: Any, side_px: int) -> Any:
    """The image with its longest side at most this long.

    By an integer factor first: OpenCV averages whole blocks twenty times as fast as fractional areas. The rest is less
    than a factor of two, for which linear interpolation skips no pixel.
    """
    height, width = image.shape[:2]
    step = max(height, width) // side_px
    if step > 1 and min(height, width) >= step:
        height, width = height // step, width // step
        image = cv2.resize(image[: height * step, : width * step], (width, height), interpolation=cv2.INTER_AREA)
    size = size_within(width, height, side_px)
    return image if size == (width, height) else cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
