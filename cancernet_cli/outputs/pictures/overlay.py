"""Overlays: an image with the contour of its mask, label and percentage, as in figures 5 and 6 of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from cancernet_cli.core.arrays import F32, Pixels
from cancernet_cli.outputs.pictures.caption import Legend, caption_band
from cancernet_cli.outputs.pictures.class_colours import RGB, on_dark
from cancernet_cli.outputs.pictures.size import centred, picture_size, resized

_SHORTEST_LONG_SIDE_PX = 480  # below this, the caption would be wider than the image
LINE: RGB = (225, 255, 60)  # yellow-green, complementary to the pink and purple of H&E
_EDGE = (16, 28, 12)


def draw_overlay(
    image: Pixels,
    mask: F32 | None,
    *,
    label: str,
    percent: float,
    true_label: str | None,
    percent_of: str = "",
    flags: Sequence[str] = (),
    colour: RGB | None = None,
    legend: Legend = Legend(),  # noqa: B008 (immutable)
) -> Pixels:
    """Draw the contour of the mask on the image, and below it a caption with label, percentage and true label.

    The colors of the image are left as they are, inside and outside the mask.

    Args:
        image: `[H, W, 3]` uint8 RGB. Its long side is reduced to 2048 px or enlarged to 480 px.
        mask: `[h, w]` float, 0 to 1, of any size; None draws no contour.
        label: A class, or `unsure`.
        percent: Probability of the label, or of `percent_of` if that is `unsure`, 0 to 100.
        true_label: None if unknown; otherwise the caption shows whether `label` is correct.
        percent_of: Most probable class, shown if the label is `unsure`.
        flags: Listed in the caption.
        colour: Of the shown class, lightened in the caption; None is blue.
        legend: With `um_per_px` of the image, whatever the size of the picture.

    Returns:
        `[H', W', 3]` uint8 RGB.
    """
    height, width = image.shape[:2]
    picture = resized(image, picture_size(width, height, shortest_px=_SHORTEST_LONG_SIDE_PX))
    if mask is not None:
        picture = with_contour(picture, mask)
    if legend.um_per_px:
        legend = replace(legend, um_per_px=legend.um_per_px * width / picture.shape[1])
    width = max(picture.shape[1], _SHORTEST_LONG_SIDE_PX)
    tint = {} if colour is None else {"colour": on_dark(colour)}
    band = caption_band(width, label, percent, true_label, percent_of, flags, legend=replace(legend, line=LINE), **tint)
    return np.vstack([centred(picture, band.shape[1]), band]).astype(np.uint8, copy=False)


def with_contour(picture: Pixels, mask: F32) -> Pixels:
    """Draw the contour of the mask, where it crosses 0.5: a bright line with dark rims.

    The line follows the 0.5 level of the blurred mask with sub-pixel distances (level / gradient), which is smooth,
    whereas a polygon through pixels has steps.
    """
    height, width = picture.shape[:2]
    long_side = max(height, width)
    level = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    inside = _without_gaps((level >= 0.5).astype(np.uint8), long_side).astype(np.float32)
    enlarged = long_side / max(mask.shape)
    soft = cv2.GaussianBlur(inside, (0, 0), max(1.6, long_side / 420, 0.5 * enlarged))
    slope = np.hypot(cv2.Sobel(soft, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(soft, cv2.CV_32F, 0, 1, scale=1 / 8))
    distance = np.abs(soft - 0.5) / np.maximum(slope, 1e-4)  # in pixels, valid near the contour
    half_width = max(0.9, long_side / 1100)
    canvas = picture.astype(np.float32)
    rim = half_width + max(0.8, half_width * 0.8)
    near = np.flatnonzero(distance < rim + 0.5)  # few pixels, so drawing them is cheap
    line, away = canvas.reshape(-1, 3)[near], distance.reshape(-1)[near]
    for colour, reach, strength in ((_EDGE, rim, 0.75), (LINE, half_width, 1.0)):
        alpha = np.clip(reach + 0.5 - away, 0, 1)[:, None] * strength
        line = line * (1 - alpha) + np.array(colour, np.float32) * alpha
    canvas.reshape(-1, 3)[near] = line
    return cv2.convertScaleAbs(canvas).astype(np.uint8, copy=False)  # rounds and clips


def _without_gaps(inside: Pixels, long_side: int) -> Pixels:
    """The mask without gaps as thin as a line, such as watershed's between objects; each would look like a dash."""
    side = 2 * round(max(long_side / 600, 1)) + 1
    return np.asarray(cv2.morphologyEx(inside, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8)), np.uint8)
