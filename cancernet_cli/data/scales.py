"""The scale of an image's views, from its resolution or its magnification."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.choices import SCALE_RANGE
from cancernet_cli.core.records import Truth
from cancernet_cli.data.resolution import UM_TIMES_POWER

# The BreakHis photos: the camera's 6.5 um over an objective of a tenth of the magnification. The paper (Spanhol et al.,
# IEEE TBME 63(7):1455-1462, 2016, table I) also divides by a relay lens of 3.3x, which its photos do not show: nuclei
# would be 1 to 3 um wide. Hematoxylin blobs have the size they have in 40x scans at 0.6, 0.4 and 0.2 um per pixel for
# 100X, 200X and 400X.
BREAKHIS_MPP = {40.0: 1.625, 100.0: 0.65, 200.0: 0.325, 400.0: 0.1625}


def pixel_sizes(magnifications: Collection[float]) -> dict[float, float]:
    """Micrometers per pixel at each magnification: those of BreakHis if it has them all, otherwise a scanner's."""
    if all(power in BREAKHIS_MPP for power in magnifications):
        return {power: BREAKHIS_MPP[power] for power in magnifications}
    return {power: UM_TIMES_POWER / power for power in magnifications}


def scale_of(policy: InputPolicy, truth: Truth) -> float | None:
    """The factor by which an image is resized before its views are cut; None if the card needs a fact that is unknown.

    Without `scales` on the card, `scale`. With them, the image's mpp decides, otherwise its magnification. Between two
    magnifications of the card the logarithm of the scale changes linearly with that of the magnification; beyond the
    first and last one, the scale is inversely proportional to it, so that views keep their physical size.
    """
    known = policy.known_magnifications
    if not known:
        return policy.scale
    if truth.mpp is not None:
        return _interpolated(1 / truth.mpp, {1 / one.mpp: one.scale for one in known})
    if truth.magnification is not None:
        return _interpolated(truth.magnification, {one.power: one.scale for one in known})
    return None


def image_policy(policy: InputPolicy, truth: Truth) -> InputPolicy:
    """The policy for one image: `scale` is that of its mpp or magnification; the card's where neither is known."""
    scale = scale_of(policy, truth)
    return policy if scale is None or scale == policy.scale else replace(policy, scale=scale)


def image_mpp(policy: InputPolicy, truth: Truth) -> float | None:
    """Micrometers per pixel of an image: its own, or that of its magnification on the card; None if unknown."""
    if truth.mpp is not None:
        return truth.mpp
    known = {one.power: one.mpp for one in policy.known_magnifications}
    return known.get(truth.magnification) if truth.magnification is not None else None


def _interpolated(power: float, scales: Mapping[float, float]) -> float:
    """The scale at a magnification, or at another measure of it that `scales` has as its keys."""
    known = sorted(scales)
    nearest = min(max(power, known[0]), known[-1])
    scale = scales.get(nearest)
    if scale is None:
        scale = math.exp(np.interp(math.log(nearest), np.log(known), np.log([scales[one] for one in known])))
    low, high = SCALE_RANGE
    return min(max(scale * nearest / power, low), high)
