"""The resolution and size at which a model's tiles are cut from slides."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.data.resolution import UM_TIMES_POWER

# Pixel sizes of the BreakHis photos as published (Spanhol et al., IEEE TBME 63(7):1455-1462, 2016, table I). They are
# about a third of the real ones (`data.scales`), and are kept for models whose cards rely on them: tiles would be cut
# at another resolution. A scanner's 40x has 0.25 um per pixel.
PUBLISHED_BREAKHIS_MPP = {40.0: 0.49, 100.0: 0.20, 200.0: 0.10, 400.0: 0.05}
USUAL_MPP = 0.5  # 20x, which every slide scanner offers


@dataclass(frozen=True)
class TargetMpp:
    """Micrometres per pixel of a tile; `remark` explains how it was derived, "" where the card has it."""

    mpp: float
    remark: str = ""


def target_mpp(policy: InputPolicy) -> TargetMpp:
    """The resolution at which the model's tiles are cut: that of its views, or `mpp` if its card has a tile's size.

    That of its views is the card's mpp, else the pixel size of its magnification, each divided by the scale of the
    views; with `scales`, the card has both for each magnification. Of several magnifications, the one whose views are
    closest to 0.5 um per pixel is used, which slides can provide. Without either, 0.5 um.
    """
    if policy.tile_px is not None and policy.mpp is not None:
        return TargetMpp(policy.mpp)
    # `resize` scales any image to one view, so its views have no fixed scale
    scale = policy.scale if policy.view == "grid" else 1.0
    if policy.mpp is not None:
        return TargetMpp(policy.mpp / scale)
    if policy.known_magnifications:
        nearest = min(policy.known_magnifications, key=lambda one: abs(math.log(one.mpp / one.scale / USUAL_MPP)))
        return TargetMpp(nearest.mpp / nearest.scale)
    if not policy.magnifications:
        return TargetMpp(USUAL_MPP, f"the model's card has neither mpp nor magnification; assuming {USUAL_MPP} µm/px")
    is_breakhis = all(power in PUBLISHED_BREAKHIS_MPP for power in policy.magnifications)
    pixels = {
        power: PUBLISHED_BREAKHIS_MPP[power] if is_breakhis else UM_TIMES_POWER / power
        for power in policy.magnifications
    }
    power = min(pixels, key=lambda power: abs(math.log(pixels[power] / scale / USUAL_MPP)))
    mpp = pixels[power] / scale
    shown = f"{pixels[power]:g} µm" + (f" at scale {scale:g}" if scale != 1 else "")
    return TargetMpp(
        mpp, f"the model's card has no mpp; assuming {mpp:.3g} µm/px from its magnification {power:g}x ({shown})"
    )
