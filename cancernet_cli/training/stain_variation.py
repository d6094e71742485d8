"""Stain augmentation: a random linear change of an image's optical densities."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from cancernet_cli.core.arrays import F64, Pixels
from cancernet_cli.core.pixels import DARKEST, STAINS, UNMIX

# Macenko et al. omit pixels below this optical density in any channel, and take the stains at these percentiles of the
# angle.
LEAST_DENSITY = 0.15
EXTREMES = (1.0, 99.0)
# Enough pixels for two angles, in half a millisecond.
SAMPLE_PX = 4096
FEWEST_STAINED = 64
# Closer stain vectors than this are a single stain and noise.
CLOSEST_DEGREES = 3.0

_LOGARITHMS = np.log(np.maximum(np.arange(256) / 255, DARKEST)).astype(np.float32)
_DENSITY = (-_LOGARITHMS / np.log(10)).astype(np.float32)


def macenko_basis(image: Pixels) -> F64 | None:
    """The image's own stain vectors (Macenko et al., ISBI 2009, doi:10.1109/ISBI.2009.5193250).

    Args:
        image: `[H, W, 3]` uint8 RGB.

    Returns:
        `[3, 3]`: unit rows of haematoxylin, eosin and their cross product, in optical density; None if too little of
        the image is stained, or by one stain only.
    """
    step = max(1, round((image.shape[0] * image.shape[1] / SAMPLE_PX) ** 0.5))
    density = _DENSITY[image[::step, ::step]].reshape(-1, 3).astype(np.float64)
    stained = density[(density > LEAST_DENSITY).all(axis=1)]
    if len(stained) < FEWEST_STAINED:
        return None
    plane = np.linalg.eigh(np.cov(stained.T))[1][:, :0:-1]  # the two directions of greatest variance
    plane = plane * np.where(plane.sum(axis=0) < 0, -1.0, 1.0)
    along = stained @ plane
    low, high = np.percentile(np.arctan2(along[:, 1], along[:, 0]), EXTREMES)
    if high - low < np.radians(CLOSEST_DEGREES):
        return None
    stains = np.stack([plane @ (np.cos(angle), np.sin(angle)) for angle in (low, high)])
    stains = np.maximum(stains, 0.0)  # a stain cannot emit light
    lengths = np.linalg.norm(stains, axis=1, keepdims=True)
    if not (lengths > 0.5).all():
        return None
    stains = stains / lengths
    stains = stains[np.argsort(-stains[:, 0])]  # haematoxylin absorbs more red than eosin
    rest = np.cross(stains[0], stains[1])
    length = float(np.linalg.norm(rest))
    return np.vstack([stains, rest / length]) if length > np.sin(np.radians(CLOSEST_DEGREES)) else None


def stain_change(image: Pixels, stain: float, light: float, rng: Generator, *, own: bool) -> F64:
    """A random change of the amounts of stain, as a matrix `[3, 3]` on rows of optical densities.

    Args:
        stain: each stain is multiplied by up to `exp(stain)` or its inverse. light: the same for all together.
        own: use the image's own stain vectors (`macenko_basis`) if it has any, and keep the residual; else the
            published haematoxylin, eosin and residual (Tellez et al., arXiv:1808.05896).
    """
    amounts = np.exp(rng.uniform(-stain, stain, 3))
    all_together = float(np.exp(rng.uniform(-light, light)))
    basis = macenko_basis(image) if own else None
    if basis is None:
        return np.asarray(UNMIX @ np.diag(amounts * all_together) @ STAINS)
    amounts[2] = 1.0
    return np.asarray(np.linalg.inv(basis) @ np.diag(amounts * all_together) @ basis)


def restained(image: Pixels, change: F64) -> Pixels:
    """The image `[H, W, 3]` uint8 with its optical densities multiplied by a matrix `[3, 3]`."""
    logarithms = cv2.LUT(image, _LOGARITHMS)  # densities are logarithms up to a factor, so the same matrix applies
    light = cv2.exp(cv2.transform(logarithms, np.ascontiguousarray(change.T, np.float32)))
    return np.asarray(cv2.convertScaleAbs(light, alpha=255.0), np.uint8)  # rounds and saturates
