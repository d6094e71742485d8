"""An open slide of a format that OpenSlide supports, and how its formats are recognized."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import numpy as np
import openslide

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.records import Failure
from cancernet_cli.data.dicom import files_of_series, misstates_colors
from cancernet_cli.data.loading.limits import no_memory
from cancernet_cli.data.resolution import ScaleFacts, mpp_from_tiff
from cancernet_cli.data.slides.base import Level, UnreadableSlide, on_white
from cancernet_cli.data.slides.jpeg_tiles import DamagedTile, open_jpeg_tiles
from cancernet_cli.data.slides.tiff import tiff_shape
from cancernet_cli.data.slides.tiff_directories import read_directories

GENERIC = "generic-tiff"
# One page per level, tiles on a regular grid; in other formats they may be shifted, overlap or be missing
_PLAIN_TIFFS = (GENERIC, "aperio")
# OpenSlide takes coordinates in whole pixels of level 0. If these are whole pixels of the level up to this fraction, it
# copies pixels; otherwise it interpolates. (cairo's fixed-point numbers have 8 fractional bits.)
_EXACT = 1 / 512


class OpenSlideSlide:
    """A slide opened by OpenSlide; JPEG tiles of plain TIFFs are decoded directly."""

    flags: tuple[str, ...] = ()

    def __init__(self, location: bytes) -> None:
        self._path = os.fsdecode(location)
        self._slide = openslide.OpenSlide(self._path)
        facts = self._slide.properties
        self.vendor: str = facts.get("openslide.vendor", "")
        sizes = zip(self._slide.level_dimensions, self._slide.level_downsamples, strict=True)
        self.levels = tuple(Level(width, height, downsample) for (width, height), downsample in sizes)
        self.scale = _scale(facts, self.vendor)
        left, top = (_number(facts, f"openslide.bounds-{axis}") for axis in "xy")
        self.scan_origin = round(left or 0), round(top or 0)
        is_plain = self.vendor in _PLAIN_TIFFS
        drawn = self._drawn, self._is_drawn_exactly
        self._jpeg = open_jpeg_tiles(self._path, self.levels, *drawn) if is_plain else None

    def is_exact(self, level: int) -> bool:
        return (self._jpeg is not None and level in self._jpeg) or self._is_drawn_exactly(level)

    def _is_drawn_exactly(self, level: int) -> bool:
        """True if the downsample is an integer, up to a deviation that is negligible over the whole level."""
        found = self.levels[level]
        drift = abs(found.downsample - round(found.downsample)) * max(found.width_px, found.height_px)
        return drift / found.downsample < _EXACT

    def read_level(self, level: int, x: int, y: int, width_px: int, height_px: int) -> Pixels:
        if self._jpeg is not None and level in self._jpeg:
            with suppress(OSError):  # OpenSlide reports it
                try:
                    return self._jpeg.read(level, x, y, width_px, height_px)
                except UnreadableSlide as error:
                    if error.failure.error == DamagedTile.__name__:
                        raise
        return self._drawn(level, x, y, width_px, height_px)

    def close(self) -> None:
        if self._jpeg is not None:
            self._jpeg.close()
        self._slide.close()

    def _drawn(self, level: int, x: int, y: int, width_px: int, height_px: int) -> Pixels:
        downsample = self.levels[level].downsample
        origin = round(x * downsample), round(y * downsample)
        try:
            region = self._slide.read_region(origin, level, (width_px, height_px))
        except openslide.OpenSlideError as error:
            self._reopen()
            raise UnreadableSlide(Failure.of("decode", error)) from None
        except MemoryError:
            raise UnreadableSlide(no_memory()) from None
        return on_white(np.asarray(region))

    def _reopen(self) -> None:
        """Replace the handle; OpenSlide handles are unusable after the first error."""
        self._slide.close()
        try:
            self._slide = openslide.OpenSlide(self._path)
        except (openslide.OpenSlideError, OSError) as error:
            raise UnreadableSlide(Failure.of("read", error)) from None


def takes(location: bytes) -> bool:
    """Whether OpenSlide supports the format and reads the whole pyramid."""
    vendor = vendor_of(location)
    if vendor == "dicom":
        return not any(map(misstates_colors, files_of_series(os.fsdecode(location))))
    if vendor != GENERIC:
        return vendor is not None
    shape = tiff_shape(read_directories(location))
    if shape is None:
        return True
    # libtiff takes any fourth sample for alpha, and one of several gray pages may be a channel
    samples = shape.levels[0].samples
    return shape.is_flagged_pyramid and (samples == 3 or (samples == 1 and not shape.is_one_of_several))


def vendor_of(location: bytes) -> str | None:
    """The vendor's format, `generic-tiff`, or None; only detected, not opened."""
    try:
        vendor: str | None = openslide.OpenSlide.detect_format(os.fsdecode(location))
        return vendor
    except Exception:  # for example a name that cannot be decoded
        return None


def _scale(facts: Any, vendor: str) -> ScaleFacts:
    mpp = _pair(facts, "openslide.mpp-x", "openslide.mpp-y")
    per_unit = _pair(facts, "tiff.XResolution", "tiff.YResolution")
    return ScaleFacts(
        # For generic TIFFs, OpenSlide's mpp is from the resolution tags
        mpp=None if vendor == GENERIC else mpp,
        tiff_mpp=mpp_from_tiff(per_unit, facts.get("tiff.ResolutionUnit", "")),
        objective_power=_number(facts, "openslide.objective-power"),
    )


def _pair(facts: Any, x: str, y: str) -> tuple[float, float] | None:
    both = _number(facts, x), _number(facts, y)
    return None if both[0] is None or both[1] is None else (both[0], both[1])


def _number(facts: Any, name: str) -> float | None:
    try:
        return float(facts[name])
    except (KeyError, ValueError):
        return None
