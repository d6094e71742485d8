"""Resolution of slides in micrometers per pixel (mpp): its source, and flags for doubtful values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Source = Literal["slide", "tiff_resolution", "objective", "option", "model"]

# Plausible for a microscope or scanner: 0.05 is BreakHis at 400X, 10 an overview of the whole slide. The defaults of
# programs without resolution metadata are outside: 72, 96, 300, 600 and 1200 dpi are 353 to 21 um.
MIN_MPP, MAX_MPP = 0.02, 10.0
MAX_POWER = 150.0
UM_TIMES_POWER = 10.0  # scanners: 0.5 um at 20x, 0.25 um at 40x
MAX_MAGNIFICATION = 2.0
_ANISOTROPY = 1.05
# Between a scanner's mpp and 10 / power. It is 2 in scanners whose camera magnifies as well, such as 0.24 um at 20x.
_DISAGREEMENT = 2.5
_OVERRIDE = 1.01

# Flags in a slide's row.
ASSUMED = "mpp_assumed"  # no metadata; the model's resolution was assumed
FROM_OBJECTIVE = "mpp_from_objective"
NOT_BELIEVED = "mpp_not_believed"  # the metadata has an implausible value
ANISOTROPIC = "mpp_anisotropic"  # pixels are not square
DISAGREES = "mpp_disagrees"  # the metadata's mpp and objective contradict each other
OVERRIDDEN = "mpp_overridden"  # the user's value differs from the metadata's
MAGNIFIED = "magnified"  # tiles are enlarged more than twofold


@dataclass(frozen=True)
class ScaleFacts:
    """Resolution metadata of a file, not yet validated; None where it has none.

    mpp: (x, y) in micrometers, from the scanner's metadata. tiff_mpp: (x, y) from the TIFF tags XResolution,
    YResolution and ResolutionUnit. objective_power: 20, 40, ...
    """

    mpp: tuple[float, float] | None = None
    tiff_mpp: tuple[float, float] | None = None
    objective_power: float | None = None


@dataclass(frozen=True)
class Resolution:
    """Micrometers per pixel at level 0, the source of this value, and flags.

    other_mpp: the value that it contradicts, with the flags `mpp_disagrees` and `mpp_overridden`; otherwise None.
    """

    mpp: float
    source: Source
    flags: tuple[str, ...] = ()
    other_mpp: float | None = None


def resolve_resolution(facts: ScaleFacts, *, target_mpp: float, slide_mpp: float | None = None) -> Resolution:
    """The resolution of a slide, from the best available source; doubtful values are flagged, never an error.

    In this order: `slide_mpp` (the user's value), the scanner's metadata, the TIFF tags, the objective's power
    (10 / power), `target_mpp` (that of the tiles, which also determines the flag `magnified`). In metadata, values
    outside `MIN_MPP` to `MAX_MPP` are ignored.
    """
    flags: list[str] = []
    found = _from_metadata(facts, flags)
    other = None
    if slide_mpp is not None:
        flags = [flag for flag in flags if flag == NOT_BELIEVED]
        if found is not None and _ratio(found[0], slide_mpp) > _OVERRIDE:
            flags.append(OVERRIDDEN)
            other = found[0]
        found = slide_mpp, "option"
    elif found is not None and found[1] != "objective" and _is_power(facts.objective_power):
        assert facts.objective_power is not None
        expected = UM_TIMES_POWER / facts.objective_power
        if _ratio(found[0], expected) > _DISAGREEMENT:
            flags.append(DISAGREES)
            other = expected
    if found is None:
        flags.append(ASSUMED)
    mpp, source = found or (target_mpp, "model")
    if mpp > target_mpp * MAX_MAGNIFICATION * (1 + 1e-9):
        flags.append(MAGNIFIED)
    return Resolution(mpp, source, tuple(dict.fromkeys(flags)), other)


def _ratio(a: float, b: float) -> float:
    return max(a, b) / min(a, b)


def _is_power(power: float | None) -> bool:
    return power is not None and 0 < power <= MAX_POWER


def _from_metadata(facts: ScaleFacts, flags: list[str]) -> tuple[float, Source] | None:
    """The first plausible value in a slide's metadata and its source; adds to `flags`."""
    sources: tuple[Source, Source] = ("slide", "tiff_resolution")
    for pair, source in zip((facts.mpp, facts.tiff_mpp), sources, strict=True):
        if pair is None:
            continue
        if all(map(is_plausible_mpp, pair)):
            if max(pair) > min(pair) * _ANISOTROPY:
                flags.append(ANISOTROPIC)
            return (pair[0] if pair[0] == pair[1] else math.sqrt(pair[0] * pair[1])), source
        flags.append(NOT_BELIEVED)
    power = facts.objective_power
    if power is None:
        return None
    if _is_power(power):
        flags.append(FROM_OBJECTIVE)
        return UM_TIMES_POWER / power, "objective"
    flags.append(NOT_BELIEVED)
    return None


def is_plausible_mpp(mpp: float) -> bool:
    """Whether a microscope can have this mpp; False for 0, infinity, NaN and resolutions of screens and printers."""
    return MIN_MPP <= mpp <= MAX_MPP


def mpp_from_tiff(resolution: tuple[float, float] | None, unit: str) -> tuple[float, float] | None:
    """Micrometers per pixel from XResolution and YResolution, in pixels per `inch` or `centimeter`.

    None if the unit is another one or a resolution is 0.
    """
    um = {"inch": 25_400.0, "centimeter": 10_000.0}.get(unit.lower())
    if um is None or resolution is None or not all(value > 0 for value in resolution):
        return None
    return um / resolution[0], um / resolution[1]
