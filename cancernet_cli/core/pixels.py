"""Pixel operations that several rooms share: resizing, and optical density of H&E stains.

Ruifrok, Johnston, "Quantification of histochemical staining by color deconvolution", Anal Quant Cytol Histol 23(4),
2001. A pixel's optical density is `-log10(value)` for values in 0..1; it is the product of stain amounts and `STAINS`.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from cancernet_cli.core.arrays import F64

# Rows: haematoxylin, eosin, DAB (the residual in an H&E image), of unit length. Columns: R, G, B.
_PUBLISHED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
STAINS: F64 = np.array([row / np.linalg.norm(row) for row in _PUBLISHED], dtype=np.float64)
UNMIX: F64 = np.linalg.inv(STAINS).astype(np.float64)

# Lower bound of a value before its logarithm is taken (one step of an 8-bit image).
DARKEST = 1.0 / 255.0

# An image may be shrunk linearly to half a side, and by a twentieth more where it is compressed into one view.
SQUEEZE = 0.05
_LINEAR_DOWN_TO = 2 * (1 + SQUEEZE)

Enlarge = Literal["linear", "cubic"]
Interpolation = Literal["area", "linear", "cubic"]
T = TypeVar("T", np.uint8, np.float32)


def resize(pixels: NDArray[T], width_px: int, height_px: int, *, enlarge: Enlarge) -> NDArray[T]:
    """Resize `[H, W]` or `[H, W, C]` by area averaging if neither side grows, otherwise by interpolation (`enlarge`).

    Returns `pixels` itself if the size does not change.
    """
    height, width = pixels.shape[:2]
    if (width, height) == (width_px, height_px):
        return pixels
    is_smaller = width_px <= width and height_px <= height
    return interpolate(pixels, ResizeStep(width_px, height_px, "area" if is_smaller else enlarge))


def resize_fast(pixels: NDArray[T], width_px: int, height_px: int, *, enlarge: Enlarge) -> NDArray[T]:
    """Resize as `resize` does, but down to half a side linearly; `fast_steps` are its steps."""
    height, width = pixels.shape[:2]
    for step in fast_steps(width, height, width_px, height_px, enlarge=enlarge):
        pixels = interpolate(pixels, step)
    return pixels


class ResizeStep(NamedTuple):
    """One interpolation to a size in pixels, by OpenCV's INTER_AREA, INTER_LINEAR or INTER_CUBIC."""

    width_px: int
    height_px: int
    how: Interpolation


def fast_steps(width: int, height: int, width_px: int, height_px: int, *, enlarge: Enlarge) -> list[ResizeStep]:
    """The steps by which `resize_fast` gets from `width` x `height` to `width_px` x `height_px`; none if equal.

    At half a side, linear interpolation is the mean of 2 x 2 pixels; above, it skips no pixel, and takes OpenCV a tenth
    of the time of its INTER_AREA, which averages only when no side grows.
    """
    steps = []
    if max(width / width_px, height / height_px) > _LINEAR_DOWN_TO:
        width, height = min(width, width_px), min(height, height_px)
        steps.append(ResizeStep(width, height, "area"))
    if (width, height) != (width_px, height_px):
        is_smaller = width_px < width or height_px < height
        steps.append(ResizeStep(width_px, height_px, "linear" if is_smaller else enlarge))
    return steps


def size_within(width_px: int, height_px: int, longest_px: int) -> tuple[int, int]:
    """Width and height scaled so that the longer side has at most `longest_px`; never enlarged, never 0."""
    share = min(1.0, longest_px / max(width_px, height_px))
    return max(1, round(width_px * share)), max(1, round(height_px * share))


def interpolate(pixels: NDArray[T], step: ResizeStep) -> NDArray[T]:
    """Resize `[H, W]` or `[H, W, C]` in one step."""
    import cv2  # not at the top: every start of the command line imports core

    methods = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
    size = (step.width_px, step.height_px)
    changed: Any = cv2.resize(pixels, size, interpolation=methods[step.how])  # typed without the dtype
    return np.asarray(changed, pixels.dtype)
