"""The resolution at which a model's tiles are cut from slides."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.data.scales import view_scale, view_sizes

USUAL_MPP = 0.5  # 20x, which every slide scanner offers


@dataclass(frozen=True)
class TargetMpp:
    """Micrometres per pixel of a view; `remark` explains how it was derived, "" where the card has it."""

    mpp: float
    remark: str = ""


def target_mpp(policy: InputPolicy) -> TargetMpp:
    """The resolution of the model's views.

    The card's mpp, else the pixel size of its magnification, each divided by the scale of the views. Of several
    magnifications, the one whose views are closest to 0.5 um per pixel is used, which slides can provide. Without
    either, 0.5 um.
    """
    if policy.mpp is not None and not policy.scales:
        return TargetMpp(policy.mpp / view_scale(policy))
    sizes = view_sizes(policy)
    if not sizes:
        return TargetMpp(USUAL_MPP, f"the model's card has neither mpp nor magnification; assuming {USUAL_MPP} um/px")
    power, mpp = min(sizes.items(), key=lambda one: abs(math.log(one[1] / USUAL_MPP)))
    scale = view_scale(policy, power)
    shown = f"{mpp * scale:g} um" + (f" at scale {scale:g}" if scale != 1 else "")
    return TargetMpp(
        mpp, f"the model's card has no mpp; assuming {mpp:.3g} um/px from its magnification {power:g}x ({shown})"
    )
