"""Separate the nuclei in a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.morphology import remove_small_holes, remove_small_objects
from skimage.segmentation import expand_labels, relabel_sequential, watershed

from cancernet_cli.core.arrays import F32, Bools, Labels
from cancernet_cli.core.pixels import resize

# Sizes of nuclei in tissue, in micrometers: a small lymphocyte is 6 um wide (28 um2), a tumor nucleus up to 20 um.
# Those cut by the section or by the edge of an image are smaller.
LEAST_AREA_UM2 = 5.0
HOLE_UM2 = 20.0
APART_UM = 3.0  # least distance between the centers of two nuclei
SMOOTHING_UM = 0.75  # of the distance transform: a ragged outline would have a peak at every bump
_CUT = 0.5
_REACH_PX = 3  # how far the outline may move when labels are enlarged


def separate_nuclei(mask: F32, um_per_px: float) -> Labels:
    """One label per nucleus: a watershed of the mask from the peaks of its distance transform.

    Vincent and Soille, IEEE TPAMI 13(6):583-598, 1991; `skimage.segmentation.watershed`. Holes in nuclei are filled
    and specks below 5 um2 are dropped.

    Args:
        mask: `[H, W]` float32, 0 to 1; at least 0.5 is nucleus.
        um_per_px: width of a pixel in micrometers.

    Returns:
        `[H, W]` int32, 0 for background, labels 1 to N from the top down.
    """
    area_px = um_per_px**2
    inside = remove_small_objects(mask >= _CUT, max_size=round(LEAST_AREA_UM2 / area_px))
    inside = remove_small_holes(inside, max_size=round(HOLE_UM2 / area_px))
    if not inside.any():
        return np.zeros(mask.shape, np.int32)
    # A rim of background: without any, there would be no distances
    distance = np.asarray(ndimage.distance_transform_edt(np.pad(inside, 1)))[1:-1, 1:-1]
    distance = ndimage.gaussian_filter(distance, SMOOTHING_UM / um_per_px)
    components, _ = ndimage.label(inside)
    apart = max(1, round(APART_UM / um_per_px))
    peaks = peak_local_max(  # type: ignore[no-untyped-call]
        distance, min_distance=apart, labels=components, exclude_border=False
    )
    markers = np.zeros(mask.shape, np.int32)
    peaks = peaks[np.lexsort(peaks.T[::-1])]
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return _in_order(watershed(-distance, markers, mask=inside))  # type: ignore[no-untyped-call]


def enlarge_labels(labels: Labels, mask: F32) -> Labels:
    """Labels at the size of a finer (or coarser) mask, whose outline they take over.

    Args:
        labels: `[h, w]` int32.
        mask: `[H, W]` float32, the same mask resized smoothly.

    Returns:
        `[H, W]` int32, with labels 1 to N again; a nucleus without a pixel at this size is dropped.
    """
    if labels.shape == mask.shape:
        return labels
    height, width = mask.shape
    wide = expand_labels(labels, _REACH_PX)  # type: ignore[no-untyped-call]
    rows = (np.arange(height) * labels.shape[0] + labels.shape[0] // 2) // height
    columns = (np.arange(width) * labels.shape[1] + labels.shape[1] // 2) // width
    return _in_order(np.where(mask >= _CUT, wide[np.ix_(rows, columns)], 0))


def connected_nuclei(mask: Bools) -> Labels:
    """Connected components of a binary mask `[H, W]`, as `[H, W]` int32 labels; diagonal neighbors are connected."""
    found, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    return np.asarray(found, np.int32)


def full_size(mask: F32, labels: Labels, width_px: int, height_px: int) -> tuple[F32, Labels]:
    """A mask and its labels resized to an image's size."""
    large = resize(mask, width_px, height_px, enlarge="linear")
    return large, enlarge_labels(labels, large)


def _in_order(labels: NDArray[Any]) -> Labels:
    return np.asarray(relabel_sequential(labels)[0], np.int32)  # type: ignore[no-untyped-call]
