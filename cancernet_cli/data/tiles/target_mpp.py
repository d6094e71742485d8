"""The scale at which a model's tiles are cut from slides."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.data.resolution import UM_TIMES_POWER

# Pixel sizes of the BreakHis photos (Spanhol et al., IEEE TBME 63(7):1455-1462, 2016, table I), which are named after
# objective times ocular; a scanner's 40x has 0.25 um.
BREAKHIS_MPP = {40.0: 0.49, 100.0: 0.20, 200.0: 0.10, 400.0: 0.05}
USUAL_MPP = 0.5  # 20x, which every slide scanner gives


@dataclass(frozen=True)
class TargetMpp:
    """Micrometres that a pixel of a view shows; `remark` says what it was concluded from, "" where the card says it."""

    mpp: float
    remark: str = ""


def target_mpp(policy: InputPolicy) -> TargetMpp:
    """What one pixel of the model's views shows.

    The card's mpp, else the pixel size of its magnifications, each divided by the scale that views are looked at; of
    several magnifications the one whose views come nearest to 0.5 um, so that slides hold the pixels. Without either,
    0.5 um.
    """
    # `resize` squeezes whatever it gets, so its views have no scale of their own
    scale = policy.scale if policy.view == "grid" else 1.0
    if policy.mpp is not None and policy.mpp > 0:
        return TargetMpp(policy.mpp / scale)
    if not policy.magnifications:
        return TargetMpp(USUAL_MPP, f"the model's card names neither mpp nor magnification: {USUAL_MPP} um is taken")
    is_breakhis = all(power in BREAKHIS_MPP for power in policy.magnifications)
    pixels = {power: BREAKHIS_MPP[power] if is_breakhis else UM_TIMES_POWER / power for power in policy.magnifications}
    power = min(pixels, key=lambda power: abs(math.log(pixels[power] / scale / USUAL_MPP)))
    mpp = pixels[power] / scale
    shown = f"{pixels[power]:g} um" + (f" at scale {scale:g}" if scale != 1 else "")
    return TargetMpp(mpp, f"the model's card names no mpp: {mpp:.3g} um, from its magnification {power:g} ({shown})")
