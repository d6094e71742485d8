"""Slides that OpenSlide opens: SVS, NDPI, MRXS, SCN, VMS, BIF, SVSLIDE, DICOM, CZI, generic tiled TIFF."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import numpy as np
import openslide

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.records import Failure
from cancernet_cli.data.resolution import ScaleFacts, mpp_from_tiff
from cancernet_cli.data.slides.base import Level, Slide, SlideReader, UnreadableSlide, on_white, slide_readers
from cancernet_cli.data.slides.jpeg_tiles import open_jpeg_tiles
from cancernet_cli.data.slides.tiff import tiff_shape

GENERIC = "generic-tiff"
_PLAIN_TIFFS = (GENERIC, "aperio")  # a level is one page, each tile at its place; others shift, overlap or leave out
# OpenSlide is asked for a place in whole pixels of level 0. Where those divide into pixels of the level but for this
# share of one, its drawing library copies pixels; beyond, it mixes neighbours. (cairo's fixed point has 8 bits.)
_EXACT = 1 / 512


class OpenSlideSlide:
    """A slide that OpenSlide has opened."""

    def __init__(self, location: bytes) -> None:
        self._path = os.fsdecode(location)
        self._slide = openslide.OpenSlide(self._path)
        facts = self._slide.properties
        self.vendor: str = facts.get("openslide.vendor", "")
        sizes = zip(self._slide.level_dimensions, self._slide.level_downsamples, strict=True)
        self.levels = tuple(Level(width, height, downsample) for (width, height), downsample in sizes)
        self.scale = _scale(facts, self.vendor)
        self.scan_origin = _scan_origin(facts)
        is_plain = self.vendor in _PLAIN_TIFFS
        drawn = self._drawn, self._is_drawn_exactly
        self._jpeg = open_jpeg_tiles(self._path, self.levels, *drawn) if is_plain else None

    def is_exact(self, level: int) -> bool:
        """See `Slide`."""
        return (self._jpeg is not None and level in self._jpeg) or self._is_drawn_exactly(level)

    def _is_drawn_exactly(self, level: int) -> bool:
        """So only where the downsample is a whole number, but for what does not add up over the slide."""
        found = self.levels[level]
        drift = abs(found.downsample - round(found.downsample)) * max(found.width_px, found.height_px)
        return drift / found.downsample < _EXACT

    def read_level(self, level: int, x: int, y: int, width_px: int, height_px: int) -> Pixels:
        """See `Slide`."""
        if self._jpeg is not None and level in self._jpeg:
            with suppress(ValueError, OSError):  # a damaged tile, perhaps: that is OpenSlide's to say
                return self._jpeg.read(level, x, y, width_px, height_px)
        return self._drawn(level, x, y, width_px, height_px)

    def close(self) -> None:
        """See `Slide`."""
        if self._jpeg is not None:
            self._jpeg.close()
        self._slide.close()

    def _drawn(self, level: int, x: int, y: int, width_px: int, height_px: int) -> Pixels:
        """As OpenSlide draws it."""
        downsample = self.levels[level].downsample
        place = round(x * downsample), round(y * downsample)
        try:
            region = self._slide.read_region(place, level, (width_px, height_px))
        except openslide.OpenSlideError as error:
            self._open_again()
            raise UnreadableSlide(Failure.of("decode", error)) from None
        except MemoryError:
            raise UnreadableSlide(Failure("decode", "MemoryError", "not enough memory for its pixels")) from None
        return on_white(np.asarray(region))

    def _open_again(self) -> None:
        """OpenSlide gives nothing more from a handle after the first error."""
        self._slide.close()
        try:
            self._slide = openslide.OpenSlide(self._path)
        except (openslide.OpenSlideError, OSError) as error:
            raise UnreadableSlide(Failure.of("read", error)) from None


def takes(location: bytes) -> bool:
    """Whether OpenSlide knows the format, and sees all of the pyramid."""
    vendor = vendor_of(location)
    if vendor != GENERIC:
        return vendor is not None
    shape = tiff_shape(location)
    return shape is None or not shape.is_sub_pyramid


def vendor_of(location: bytes) -> str | None:
    """The vendor's format, `generic-tiff`, or None; the file is not opened further than that."""
    try:
        vendor: str | None = openslide.OpenSlide.detect_format(os.fsdecode(location))
        return vendor
    except Exception:  # a name that is no text, say
        return None


@slide_readers.register("OpenSlide")
def openslide_reader() -> SlideReader:
    """OpenSlide (Goode et al., J Pathol Inform 4:27, 2013)."""

    def open_slide(location: bytes) -> Slide:
        return OpenSlideSlide(location)

    return SlideReader(takes, open_slide, rank=0)


def _scale(facts: Any, vendor: str) -> ScaleFacts:
    mpp = _number(facts, "openslide.mpp-x"), _number(facts, "openslide.mpp-y")
    both = (mpp[0], mpp[1]) if mpp[0] is not None and mpp[1] is not None else None
    pixels = _number(facts, "tiff.XResolution"), _number(facts, "tiff.YResolution")
    per_unit = (pixels[0], pixels[1]) if pixels[0] is not None and pixels[1] is not None else None
    return ScaleFacts(
        # Of a TIFF without a vendor OpenSlide's mpp is what the resolution tags say
        mpp=None if vendor == GENERIC else both,
        tiff_mpp=mpp_from_tiff(per_unit, facts.get("tiff.ResolutionUnit", "")),
        objective_power=_number(facts, "openslide.objective-power"),
    )


def _scan_origin(facts: Any) -> tuple[int, int]:
    found = _number(facts, "openslide.bounds-x"), _number(facts, "openslide.bounds-y")
    return round(found[0] or 0), round(found[1] or 0)


def _number(facts: Any, name: str) -> float | None:
    try:
        return float(facts[name])
    except (KeyError, ValueError):
        return None
