"""Detect tissue on a slide's thumbnail, without glass, pen marks and specks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from skimage.filters import threshold_otsu

from cancernet_cli.core.arrays import Bools, Pixels

TissueMethod = Literal["none", "otsu"]
MASK_MPP = 8.0  # a tile of 100 um is then a dozen pixels wide


@dataclass(frozen=True)
class TissueRule:
    """Parameters of tissue detection, as lengths and areas on the slide.

    smooth_um: blur against sensor noise and JPEG artifacts.
    join_um: gaps up to this width are closed.
    min_area_um2: smaller pieces are specks, if they are less than a twentieth of the slide as well.
    max_hole_um2: smaller holes, such as glands and vessels, belong to the surrounding tissue.
    min_pen_um2: smaller stains are not pen marks.
    pen_rim_um: margin of faint ink around a pen mark.
    """

    smooth_um: float = 16.0
    join_um: float = 40.0
    min_area_um2: float = 20_000.0
    max_hole_um2: float = 10_000.0
    min_pen_um2: float = 20_000.0
    pen_rim_um: float = 60.0


RULE = TissueRule()


@dataclass(frozen=True)
class Tissue:
    """Tissue and pen marks of a slide.

    mask, pen: `[h, w]` bool.
    downsample: level-0 pixels per pixel of the masks.
    mpp: micrometres per pixel of the masks.
    """

    mask: Bools
    pen: Bools
    downsample: float
    mpp: float

    @property
    def area_mm2(self) -> float:
        """The mask's area."""
        return float(np.count_nonzero(self.mask)) * self.mpp**2 / 1e6


# Saturation, 0 to 255. Otsu's threshold always splits in two: below the floor, glass would become tissue; above the
# ceiling, pale stroma would become glass where half the slide is deeply stained.
_FLOOR, _CEILING = 14, 32
_BLACK = 30  # edges of cover slips, areas outside the scan
_GLASS_PERCENTILE = 98
_ROWS = 128  # of a thumbnail, processed at once
_SPECK_SHARE = 0.05  # of the slide
_MAX_DISC_PX = 128  # radius; beyond it, OpenCV's morphology takes minutes, and a distance transform milliseconds
_MAX_SMOOTH_SHARE = 0.1  # of the thumbnail's longer side
_TINT = 0.85  # relative to the lightest channel: above it, a tint of the glass, not a stain


def find_tissue(
    thumbnail: Pixels, *, downsample: float, mpp: float, method: TissueMethod = "otsu", rule: TissueRule = RULE
) -> Tissue:
    """Detect the tissue on a thumbnail.

    Otsu's threshold on saturation, limited to a plausible range, after white-balancing the glass; then small gaps are
    closed, specks and pen marks removed, and small holes filled. Method `none` accepts everything, pen marks included.

    Args:
        thumbnail: `[h, w, 3]` uint8 RGB.
        downsample: level-0 pixels per thumbnail pixel.
        mpp: micrometres per thumbnail pixel.
    """
    shape = thumbnail.shape[:2]
    if method == "none":
        return Tissue(np.ones(shape, np.bool_), np.zeros(shape, np.bool_), downsample, mpp)
    pen = pen_marks(thumbnail, mpp=mpp, rule=rule)
    saturation, value = _saturation(_on_white_glass(thumbnail), rule.smooth_um / mpp)
    is_field = (value > _BLACK) & ~pen
    if not is_field.any():
        return Tissue(np.zeros(shape, np.bool_), pen, downsample, mpp)
    otsu = float(threshold_otsu(saturation[is_field]))  # type: ignore[no-untyped-call]
    threshold = min(max(otsu, _FLOOR), _CEILING)
    found = (saturation > threshold) & is_field
    joined = _closed(found, rule.join_um / mpp) & is_field
    least = min(_pixels(rule.min_area_um2, mpp), max(1, round(_SPECK_SHARE * joined.size)))
    whole = _pieces(joined, least, connectivity=8)
    filled = ~_pieces(~whole, _pixels(rule.max_hole_um2, mpp) + 1, connectivity=4)
    return Tissue(filled & ~pen, pen, downsample, mpp)


def pen_marks(thumbnail: Pixels, *, mpp: float, rule: TissueRule = RULE) -> Bools:
    """Where felt pens left marks, `[h, w]` bool: green, blue, red and black that haematoxylin and eosin do not have.

    Haematoxylin is purple and eosin pink: in both, red is about as strong as blue or stronger, and green is weakest.
    `thumbnail`: `[h, w, 3]` uint8 RGB of `mpp` micrometres per pixel.
    """
    smooth: Any = _smoothed(thumbnail, rule.smooth_um / mpp)
    # In strips: 16-bit copies and intermediate results of the whole would need ten times the memory of the thumbnail
    seeds = np.concatenate([_is_ink(smooth[top : top + _ROWS]) for top in range(0, len(smooth), _ROWS)])
    ink = _pieces(seeds, _pixels(rule.min_pen_um2, mpp), connectivity=8)
    if not ink.any():
        return ink
    return _grown(ink, rule.pen_rim_um / mpp)


def _is_ink(smooth: Pixels) -> Bools:
    red, green, blue = cv2.split(smooth.astype(np.int16))
    strongest = np.maximum(np.maximum(red, green), blue)
    weakest = np.minimum(np.minimum(red, green), blue)
    colour = strongest - weakest
    is_green = (green - red > 18) & (green - blue > 0) & (colour > 30)
    is_blue = (blue - red > 50) & (green - red > 5) & (blue > 70)  # haematoxylin keeps green below red
    is_red = (red > 130) & (green < 90) & (blue < 90) & (red - np.maximum(green, blue) > 80)  # eosin keeps blue
    is_black = (strongest < 95) & (colour < 22) & (strongest > 4)  # 0: the outside of a scan
    return np.asarray(is_green | is_blue | is_red | is_black)


def _on_white_glass(thumbnail: Pixels) -> Pixels:
    """The thumbnail white-balanced to its glass, if the glass is tinted."""
    flat = thumbnail.reshape(-1, 3)
    is_seen = flat.min(axis=1) != 255  # pure white is outside the scan
    if not is_seen.any():
        return thumbnail
    glass = np.array([np.percentile(channel[is_seen], _GLASS_PERCENTILE) for channel in flat.T])
    if glass.min() < _TINT * glass.max() or glass.min() < 128:
        return thumbnail
    table = np.clip(np.arange(256)[:, None] * (glass.max() / glass), 0, 255).round().astype(np.uint8)
    lightened: Pixels = cv2.LUT(thumbnail, table[None])  # type: ignore[assignment]
    return lightened


def _saturation(picture: Pixels, smooth_px: float) -> tuple[Pixels, Pixels]:
    """HSV saturation and value, `[h, w]` uint8, of the smoothed picture."""
    smooth = _smoothed(picture, smooth_px)
    hsv = cv2.cvtColor(smooth, cv2.COLOR_RGB2HSV)
    return np.asarray(hsv[..., 1], np.uint8), np.asarray(hsv[..., 2], np.uint8)


def _pieces(mask: Bools, least_px: int, *, connectivity: int) -> Bools:
    """The connected components with at least `least_px` pixels; scikit-image needs three times the memory for this."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=connectivity)
    is_kept = stats[:, cv2.CC_STAT_AREA] >= least_px
    is_kept[0] = False  # the background
    return np.asarray(is_kept[labels])


def _closed(mask: Bools, gap_px: float) -> Bools:
    radius = gap_px / 2
    if radius < 0.5:
        return mask
    border = math.ceil(radius) + 1  # otherwise tissue at the edge would be eroded
    wide = np.pad(mask, border)
    if radius > _MAX_DISC_PX:
        closed = ~_grown(~_grown(wide, radius), radius)
    else:
        closed = np.asarray(cv2.morphologyEx(wide.view(np.uint8), cv2.MORPH_CLOSE, _disc(radius)) > 0)
    return closed[border:-border, border:-border]


def _grown(mask: Bools, radius_px: float) -> Bools:
    """A mask dilated by a disc."""
    if radius_px <= _MAX_DISC_PX:
        return np.asarray(cv2.dilate(mask.astype(np.uint8), _disc(radius_px)) > 0)
    if not mask.any():
        return mask
    return np.asarray(cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= radius_px)


def _smoothed(picture: Pixels, smooth_px: float) -> Any:
    return cv2.GaussianBlur(picture, (0, 0), min(max(0.5, smooth_px / 2), _MAX_SMOOTH_SHARE * max(picture.shape)))


def _disc(radius_px: float) -> Any:
    side = 2 * max(1, round(radius_px)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def _pixels(area_um2: float, mpp: float) -> int:
    return max(1, round(area_um2 / mpp**2))
