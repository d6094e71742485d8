"""Handcrafted color and texture features of images: baselines that a network has to beat."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from cancernet_cli.core.arrays import F64, Pixels
from cancernet_cli.core.pixels import DARKEST, UNMIX, resize, size_within

# Longest side at which texture is computed: 0.1 s per image, whatever its size.
TEXTURE_SIDE_PX = 512
GREY_LEVELS = 32
DISTANCES_PX = (1, 2, 4, 8)
ANGLES = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "ASM")
# Number of neighbors and radius in pixels of the local binary patterns.
PATTERNS = ((8, 1), (16, 2))

_DENSITY = -np.log10(np.maximum(np.arange(256) / 255, DARKEST)).astype(np.float32)


def colour_features(image: Pixels) -> F64:
    """Mean and standard deviation of red, green and blue (0 to 1), then of haematoxylin, eosin and the residual.

    Args:
        image: `[H, W, 3]` uint8 RGB.

    Returns:
        `[12]`; the last six in optical density (Ruifrok, Johnston 2001; see `core.pixels`).
    """
    means, deviations = (v[:, 0] / 255 for v in cv2.meanStdDev(image))
    stains = cv2.transform(_DENSITY[image], UNMIX.T.astype(np.float32))
    stain_means, stain_deviations = (v[:, 0] for v in cv2.meanStdDev(stains))
    return np.concatenate([means, deviations, stain_means, stain_deviations])


def texture_features(image: Pixels) -> F64:
    """Grey-level co-occurrence (Haralick et al., IEEE Trans SMC 3(6), 1973) and uniform local binary patterns.

    Co-occurrence at four distances: each property's mean and range over four angles. Patterns (Ojala et al., IEEE
    TPAMI 24(7), 2002) at two radii: the histogram.

    Args:
        image: `[H, W, 3]` uint8 RGB.

    Returns:
        `[76]`.
    """
    # Imported here because scikit-image takes half a second, and networks need none of it.
    import skimage.feature

    feature: Any = skimage.feature  # typed in part only
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    grey = resize(grey, *size_within(grey.shape[1], grey.shape[0], TEXTURE_SIDE_PX), enlarge="linear")
    levels = (grey.astype(np.uint16) * GREY_LEVELS // 256).astype(np.uint8)
    pairs = feature.graycomatrix(levels, DISTANCES_PX, ANGLES, levels=GREY_LEVELS, symmetric=True, normed=True)
    found = []
    for name in PROPERTIES:
        by_angle = feature.graycoprops(pairs, name)  # [distances, angles]
        found += [by_angle.mean(axis=1), np.ptp(by_angle, axis=1)]
    for neighbours, radius in PATTERNS:
        patterns = feature.local_binary_pattern(grey, neighbours, radius, method="uniform").astype(np.int64)
        found.append(np.bincount(patterns.ravel(), minlength=neighbours + 2) / patterns.size)
    return np.concatenate(found)
