"""Random variants of an image and its mask: geometry, scale, stain and light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cancernet_cli.core.stains import DARKEST, STAINS, UNMIX

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class AugmentPolicy:
    """How far the variants go.

    zoom: smallest and largest enlargement, drawn evenly on a logarithmic scale. stain: each stain's amount is
    multiplied by up to `exp(stain)` or its inverse. light: the same for a factor on all optical densities.
    blur: largest standard deviation of a Gaussian blur, in pixels of the crop; half of the crops get one.
    """

    zoom: tuple[float, float] = (0.6, 1.7)
    stain: float = 0.35
    light: float = 0.25
    blur: float = 1.0


def random_crop(
    image: Pixels, mask: Pixels, side_px: int, policy: AugmentPolicy, rng: Generator
) -> tuple[Pixels, Pixels]:
    """A turned, flipped, zoomed and re-stained crop, and its mask.

    Args:
        image: `[H, W, 3]` uint8 RGB.
        mask: `[H, W]` uint8, 0 or 255.

    Returns:
        `[side_px, side_px, 3]` uint8 and `[side_px, side_px]` uint8 (0 or 255); outside the image it is mirrored.
    """
    height, width = mask.shape
    zoom = float(np.exp(rng.uniform(*np.log(policy.zoom))))
    angle = rng.uniform(0, 2 * np.pi)
    flip = rng.choice([-1.0, 1.0])
    # A centre anywhere such that the crop, were it not turned, stays inside where it can.
    margin = side_px / zoom / 2
    centre = [_between(margin, size - margin, rng) for size in (width, height)]
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle) * flip, np.cos(angle) * flip]])
    matrix = np.column_stack([turn, side_px / 2 - turn @ centre])
    size = (side_px, side_px)
    crop = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    inside = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    if policy.blur > 0 and rng.random() < 0.5:
        crop = cv2.GaussianBlur(crop, (0, 0), max(rng.uniform(0, policy.blur), 0.1))
    crop = restain(np.asarray(crop, np.uint8), policy, rng)
    return crop, np.where(np.asarray(inside) >= 128, np.uint8(255), np.uint8(0))


def restain(image: Pixels, policy: AugmentPolicy, rng: Generator) -> Pixels:
    """The image as if it had been stained and lit a little differently (Tellez et al., arXiv:1808.05896)."""
    amounts = np.exp(rng.uniform(-policy.stain, policy.stain, 3)) * np.exp(rng.uniform(-policy.light, policy.light))
    change = (UNMIX @ np.diag(amounts) @ STAINS).astype(np.float32)
    density = _DENSITY[image] @ change
    light: NDArray[np.float32] = np.exp2(density * np.float32(-np.log2(10)))
    return np.rint(255 * np.clip(light, 0, 1)).astype(np.uint8)


_DENSITY = -np.log10(np.maximum(np.arange(256) / 255, DARKEST)).astype(np.float32)


def _between(low: float, high: float, rng: Generator) -> float:
    return (low + high) / 2 if high <= low else rng.uniform(low, high)


def rescaled(image: Pixels, policy: AugmentPolicy, rng: Generator) -> Pixels:
    """The image enlarged or shrunk by a factor out of the policy's range; `[H, W, 3]` to `[H', W', 3]` uint8."""
    zoom = float(np.exp(rng.uniform(*np.log(policy.zoom))))
    size = tuple(max(16, round(side * zoom)) for side in image.shape[1::-1])
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)
