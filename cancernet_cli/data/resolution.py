"""How many micrometres a pixel of a slide is wide, where that is known from, and what is doubtful about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Source = Literal["slide", "tiff_resolution", "objective", "option", "model"]

# What a microscope or a slide scanner can give: 0.05 is BreakHis at 400X, 10 an overview of the whole glass. The
# resolutions that programs write where they know none lie outside: 72, 96, 300, 600 and 1200 dpi are 353 to 21 um.
MIN_MPP, MAX_MPP = 0.02, 10.0
MAX_POWER = 150.0
UM_TIMES_POWER = 10.0  # scanners: 0.5 um at 20x, 0.25 um at 40x
MAX_MAGNIFICATION = 2.0
_ANISOTROPY = 1.05

# Flags, as they stand in a slide's row.
ASSUMED = "mpp_assumed"  # nobody says it: the model's own was taken
FROM_OBJECTIVE = "mpp_from_objective"
NOT_BELIEVED = "mpp_not_believed"  # a value was found that no scanner has
ANISOTROPIC = "mpp_anisotropic"  # pixels are not square
MAGNIFIED = "magnified"  # tiles grow to more than twice their size


@dataclass(frozen=True)
class ScaleFacts:
    """What a file says on its scale; None where it says nothing. Not yet judged.

    mpp: (x, y) in micrometres, from the scanner's own entry. tiff_mpp: (x, y) from the TIFF tags XResolution,
    YResolution and ResolutionUnit. objective_power: 20, 40, ...
    """

    mpp: tuple[float, float] | None = None
    tiff_mpp: tuple[float, float] | None = None
    objective_power: float | None = None


@dataclass(frozen=True)
class Resolution:
    """Micrometres per pixel at level 0, which source it is from, and flags."""

    mpp: float
    source: Source
    flags: tuple[str, ...] = ()


def resolve_resolution(facts: ScaleFacts, *, target_mpp: float, slide_mpp: float | None = None) -> Resolution:
    """The scale that a slide is read at: never an error, never silent.

    The slide's own entry, else the TIFF tags, else the objective's power (10 / power), else `slide_mpp`, which the user
    gives for slides that do not say, else `target_mpp`. A value outside `MIN_MPP` to `MAX_MPP` counts as none.

    Args:
        target_mpp: what the tiles are cut at; also decides the flag `magnified`.
    """
    flags: list[str] = []
    found = _said(facts, flags)
    if found is None and slide_mpp is not None:
        found = slide_mpp, "option"
    if found is None:
        flags.append(ASSUMED)
    mpp, source = found or (target_mpp, "model")
    if mpp > target_mpp * MAX_MAGNIFICATION * (1 + 1e-9):
        flags.append(MAGNIFIED)
    return Resolution(mpp, source, tuple(flags))


def _said(facts: ScaleFacts, flags: list[str]) -> tuple[float, Source] | None:
    """The first of a slide's own sources that can be believed; what is doubtful goes to `flags`."""
    pairs: tuple[tuple[tuple[float, float] | None, Source], ...] = (
        (facts.mpp, "slide"),
        (facts.tiff_mpp, "tiff_resolution"),
    )
    for pair, source in pairs:
        if pair is None:
            continue
        if all(map(is_plausible_mpp, pair)):
            if max(pair) > min(pair) * _ANISOTROPY:
                flags.append(ANISOTROPIC)
            return (pair[0] if pair[0] == pair[1] else math.sqrt(pair[0] * pair[1])), source
        _add(flags, NOT_BELIEVED)
    power = facts.objective_power
    if power is None:
        return None
    if 0 < power <= MAX_POWER:
        flags.append(FROM_OBJECTIVE)
        return UM_TIMES_POWER / power, "objective"
    _add(flags, NOT_BELIEVED)
    return None


def is_plausible_mpp(mpp: float) -> bool:
    """Whether a microscope can have it; false for 0, infinity, NaN and the resolutions of screens and printers."""
    return MIN_MPP <= mpp <= MAX_MPP


def mpp_from_tiff(resolution: tuple[float, float] | None, unit: str) -> tuple[float, float] | None:
    """Micrometres per pixel of TIFF's pixels per unit; None where the unit is unknown or a resolution 0.

    Args:
        resolution: XResolution and YResolution.
        unit: `inch` or `centimeter`; anything else is no unit.
    """
    um = {"inch": 25_400.0, "centimeter": 10_000.0}.get(unit.lower())
    if um is None or resolution is None or not all(value > 0 for value in resolution):
        return None
    return um / resolution[0], um / resolution[1]


def _add(flags: list[str], flag: str) -> None:
    if flag not in flags:
        flags.append(flag)
