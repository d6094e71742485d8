"""Cut an image into the network's views, and stitch the views' maps back together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cancernet_cli.core.arrays import F32, Pixels
from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.pixels import SQUEEZE, resize_fast


@dataclass(frozen=True, slots=True)
class ViewGrid:
    """Positions of the views of one image.

    width_px, height_px: size of the scaled image; a view that is larger is filled by mirroring it.
    corners: left and top of each view in the scaled image, row by row.
    """

    width_px: int
    height_px: int
    corners: tuple[tuple[int, int], ...]


def view_grid(width_px: int, height_px: int, policy: InputPolicy) -> ViewGrid:
    """Scaled size and view corners for an image of this size.

    An image smaller than a view is enlarged proportionally until it fills one, or, if the policy has `scales`, keeps
    its scale; `scaled_image` mirrors it at its right and lower border. One that needs more than `max_views` is
    shrunk proportionally, but neither side below the view's: a long strip is compressed along its length. A side that
    exceeds a view by less than 5 % is compressed to fit it, rather than covered twice. With `scales`, one that is
    shorter by less than 5 % is stretched.
    """
    view_w, view_h = policy.width_px, policy.height_px
    if policy.view == "resize":
        return ViewGrid(view_w, view_h, ((0, 0),))
    keeps_scale = bool(policy.scales)
    factor = policy.scale if keeps_scale else max(policy.scale, view_w / width_px, view_h / height_px)
    longest = max(width_px, height_px)

    def scaled(longest_px: int) -> tuple[int, int]:
        share = longest_px / longest
        width, height = width_px * share, height_px * share
        if keeps_scale:
            return _near(width, view_w), _near(height, view_h)
        return _at_least(width, view_w), _at_least(height, view_h)

    def views(longest_px: int) -> int:
        width, height = scaled(longest_px)
        return _count(width, view_w, policy.overlap) * _count(height, view_h, policy.overlap)

    fits, too_many = 1, max(1, round(longest * factor)) + 1  # at one pixel, neither side exceeds a view's: one fits
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if views(middle) <= max(1, policy.max_views):
            fits = middle
        else:
            too_many = middle
    width, height = scaled(fits)
    lefts, tops = _starts(width, view_w, policy.overlap), _starts(height, view_h, policy.overlap)
    return ViewGrid(width, height, tuple((left, top) for top in tops for left in lefts))


def scaled_size(policy: InputPolicy, width_px: int, height_px: int) -> tuple[int, int]:
    """Width and height to which an image of this size is scaled before its views are cut."""
    grid = view_grid(width_px, height_px, policy)
    return grid.width_px, grid.height_px


def make_views(image: Pixels, policy: InputPolicy, size_px: tuple[int, int] | None = None) -> Pixels:
    """The views of an image, `[H, W, 3]` uint8 RGB: `[V, h, w, 3]` uint8, in the order of `view_grid`'s corners.

    size_px: width and height of the full image if `image` was decoded at a reduced scale; default: its own.
    """
    scaled, grid = scaled_image(image, policy, size_px)
    views = np.empty((len(grid.corners), policy.height_px, policy.width_px, 3), np.uint8)
    for view, (left, top) in zip(views, grid.corners, strict=True):
        view[:] = scaled[top : top + policy.height_px, left : left + policy.width_px]
    return views


def scaled_image(image: Pixels, policy: InputPolicy, size_px: tuple[int, int] | None = None) -> tuple[Pixels, ViewGrid]:
    """The scaled image from which views are cut, `[H', W', 3]` uint8, and their positions; see `make_views`.

    It is mirrored up to the size of a view where the grid is smaller, so that its statistics are the image's.
    """
    width_px, height_px = size_px or (image.shape[1], image.shape[0])
    grid = view_grid(width_px, height_px, policy)
    # Cubic keeps nuclear edges sharp when enlarging; uint8 clips its overshoot.
    scaled = resize_fast(image, grid.width_px, grid.height_px, enlarge="cubic")
    if policy.view == "grid":
        scaled = mirrored(scaled, policy.width_px, policy.height_px)
    return scaled, grid


def whole_views(tiles: Pixels, policy: InputPolicy) -> Pixels:
    """Tiles `[T, H, W, 3]` uint8, each as one view, `[T, h, w, 3]`: enlarged or reduced as `scaled_image` does."""
    size = policy.width_px, policy.height_px
    if tiles.shape[2:0:-1] == size:
        return tiles
    views = np.empty((len(tiles), policy.height_px, policy.width_px, 3), np.uint8)
    for view, tile in zip(views, tiles, strict=True):
        view[:] = resize_fast(tile, *size, enlarge="cubic")
    return views


def part_of_one_view(width_px: int, height_px: int, policy: InputPolicy) -> tuple[int, int] | None:
    """Width and height of the part of an image of this size that becomes one view, in pixels of the image.

    None if the card's `scale` says it all: with `grid`, unless images of this size are enlarged to fill a view.
    """
    is_enlarged = max(policy.width_px / width_px, policy.height_px / height_px) > policy.scale
    if policy.scales or (policy.view == "grid" and not is_enlarged):
        return None
    grid = view_grid(width_px, height_px, policy)
    wide, high = policy.width_px / grid.width_px, policy.height_px / grid.height_px
    return max(1, round(width_px * wide)), max(1, round(height_px * high))


def mirrored(image: Pixels, width_px: int, height_px: int) -> Pixels:
    """An image `[H, W, 3]`, continued by mirror images on its right and below, until it has at least this size."""
    height, width = image.shape[:2]
    if width >= width_px and height >= height_px:
        return image
    missing = ((0, max(0, height_px - height)), (0, max(0, width_px - width)), (0, 0))
    return np.pad(image, missing, mode="symmetric")


def stitch(maps: F32, width_px: int, height_px: int, policy: InputPolicy) -> F32:
    """Stitch the views' maps into one map of the image, `[H, W]` float32; see `stitch_scaled`."""
    # Linear, not cubic: a mask must not overshoot 0 and 1.
    return resize_fast(stitch_scaled(maps, width_px, height_px, policy), width_px, height_px, enlarge="linear")


def stitch_scaled(maps: F32, width_px: int, height_px: int, policy: InputPolicy) -> F32:
    """Stitch the views' maps into one map of the scaled image, `[H', W']` float32; overlapping views are averaged.

    Args:
        maps: `[V, h, w]` float32, one per view and of its size, in the order of `make_views`.
        width_px, height_px: of the image before it was scaled.

    Raises:
        ValueError: number or size of the maps do not match the image.
    """
    grid = view_grid(width_px, height_px, policy)
    expected = (len(grid.corners), policy.height_px, policy.width_px)
    if maps.shape != expected:
        raise ValueError(f"maps have shape {maps.shape}, the views of a {width_px} x {height_px} image {expected}")
    total = np.zeros((max(grid.height_px, policy.height_px), max(grid.width_px, policy.width_px)), np.float32)
    count = np.zeros_like(total)
    for values, (left, top) in zip(maps, grid.corners, strict=True):
        total[top : top + policy.height_px, left : left + policy.width_px] += values
        count[top : top + policy.height_px, left : left + policy.width_px] += 1
    averaged: F32 = (total / count)[: grid.height_px, : grid.width_px]  # without what was mirrored
    return averaged


def _at_least(side_px: float, view_px: int) -> int:
    return view_px if side_px < view_px * (1 + SQUEEZE) else round(side_px)


def _near(side_px: float, view_px: int) -> int:
    return view_px if abs(side_px / view_px - 1) < SQUEEZE else max(1, round(side_px))


def _count(side_px: int, view_px: int, overlap: float) -> int:
    """Number of views that cover a side when neighbours overlap by at least `overlap` (fraction of a view)."""
    if side_px <= view_px:
        return 1
    shared = min(view_px - 1, math.ceil(view_px * overlap - 1e-9))
    return math.ceil((side_px - shared) / (view_px - shared))


def _starts(side_px: int, view_px: int, overlap: float) -> list[int]:
    """Evenly spaced, the first at 0, the last flush with the far edge."""
    last = _count(side_px, view_px, overlap) - 1
    return [i * (side_px - view_px) // last for i in range(last + 1)] if last else [0]
