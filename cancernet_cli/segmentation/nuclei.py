"""Measure nuclei: place, shape, stain and outline of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from skimage.color import rgb2hed
from skimage.measure import find_contours, regionprops

from cancernet_cli.core.arrays import F32, Labels, Pixels
from cancernet_cli.core.nuclei import Nuclei, no_nuclei

_SIMPLER_PX = 0.5  # an outline may move by this, which removes the steps between pixels
_AREA_CHANGE = 0.1
_ROWS_AT_ONCE = 1 << 21  # pixels


def measure_nuclei(labels: Labels, pixels: Pixels) -> Nuclei:
    """Measure every label.

    Args:
        labels: `[H, W]` int32, 0 for background.
        pixels: `[H, W, 3]` uint8 RGB.
    """
    found = regionprops(labels)  # type: ignore[no-untyped-call]
    if not found:
        return no_nuclei()
    numbers = np.array([one.label for one in found], np.int64)
    outlines = [_outline(one.image, one.bbox) for one in found]
    shapes = shapely.polygons([shapely.linearrings(ring) for ring in outlines])
    hulls = shapely.area(shapely.convex_hull(shapes))
    hematoxylin, eosin = _mean_stains(labels, pixels, int(labels.max(initial=0)))

    def column(values: Sequence[float]) -> F32:
        return np.asarray(values, np.float32)

    return Nuclei(
        labels=numbers,
        x=column([one.centroid[1] + 0.5 for one in found]),
        y=column([one.centroid[0] + 0.5 for one in found]),
        area=column([one.area for one in found]),
        perimeter=column([one.perimeter for one in found]),
        eccentricity=column([one.eccentricity for one in found]),
        solidity=np.minimum(1, shapely.area(shapes) / np.maximum(hulls, 1e-6)).astype(np.float32),
        hematoxylin=hematoxylin[numbers],
        eosin=eosin[numbers],
        outlines=outlines,
    )


def _outline(image: np.ndarray, bbox: tuple[int, int, int, int]) -> F32:
    """The outer ring of the largest piece of a nucleus, halfway between its pixels and those outside."""
    rings = find_contours(np.pad(image, 1).astype(np.float32), 0.5)  # type: ignore[no-untyped-call]
    ring = max(rings, key=lambda points: abs(_signed_area(points)))[:, ::-1]
    ring = ring - 0.5 + np.array([bbox[1], bbox[0]])
    simple = shapely.get_coordinates(shapely.simplify(shapely.linearrings(ring), _SIMPLER_PX))
    whole, area = _signed_area(ring), _signed_area(simple)
    if abs(area - whole) > _AREA_CHANGE * abs(whole):  # a nucleus of few pixels would lose its corners
        simple, area = ring, whole
    return np.asarray(simple if area > 0 else simple[::-1], np.float32)


def _signed_area(ring: np.ndarray) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2


def _mean_stains(labels: Labels, pixels: Pixels, most: int) -> tuple[F32, F32]:
    """Mean hematoxylin and eosin of labels 0 to `most`; some rows at once, since floats take 24 times the bytes."""
    count, sums = np.zeros(most + 1), np.zeros((2, most + 1))
    rows = max(1, _ROWS_AT_ONCE // labels.shape[1])
    for first in range(0, len(labels), rows):
        here = labels[first : first + rows].ravel()
        is_nucleus = here > 0
        stains = rgb2hed(pixels[first : first + rows].reshape(-1, 1, 3)[is_nucleus]).reshape(-1, 3)
        here = here[is_nucleus]
        count += np.bincount(here, minlength=most + 1)
        for stain in range(2):
            sums[stain] += np.bincount(here, stains[:, stain], most + 1)
    means = (sums / np.maximum(count, 1)).astype(np.float32)
    return means[0], means[1]
