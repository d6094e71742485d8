"""A DICOM slide (VL Whole Slide Microscopy): the volume images of one series, each a level of the pyramid."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from typing import Any

import pydicom

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.records import Failure
from cancernet_cli.data.dicom import files_of_series
from cancernet_cli.data.loading.limits import no_memory
from cancernet_cli.data.resolution import ScaleFacts
from cancernet_cli.data.slides.base import Level, UnreadableSlide, UnsupportedSlide, white_region
from cancernet_cli.data.slides.dicom_frames import Frames
from cancernet_cli.data.slides.tile_grid import TileCache, TileGrid

logging.getLogger("pydicom").addHandler(logging.NullHandler())  # else its messages would go to stderr

_MAX_FILES = 1000  # of one series
_NOT_THE_SLIDE = {"LABEL", "OVERVIEW", "LOCALIZER"}
_MICROSCOPY = "1.2.840.10008.5.1.4.1.1.77.1"  # photographs, microscopy and slides; not CT, MR, ...
_SLACK = 1.02  # between the aspect ratios of levels


class DicomSlide:
    """A slide whose tiles are frames of DICOM files."""

    vendor = "dicom"
    scan_origin = 0, 0
    flags: tuple[str, ...] = ()

    def __init__(self, location: bytes) -> None:
        self._images: list[_Image] = []
        try:
            paths = files_of_series(os.fsdecode(location))
            if len(paths) > _MAX_FILES:
                raise UnsupportedSlide(f"its series has {len(paths):,} files")
            images = [_Image(path) for path in paths]
            self._images = images
            whole = [image for image in images if image.flavor not in _NOT_THE_SLIDE]
            chosen = [image for image in whole if image.flavor != "THUMBNAIL"] or whole
            if not chosen:
                raise UnsupportedSlide("the series has a label or an overview, and no image of the slide")
            self._levels = _pyramid(chosen)
            for image in self._levels:
                image.open()
        except BaseException:
            self.close()
            raise
        first = self._levels[0]
        self.levels = tuple(
            Level(
                image.width_px,
                image.height_px,
                (first.width_px / image.width_px + first.height_px / image.height_px) / 2,
            )
            for image in self._levels
        )
        self.scale = first.scale
        self._cache = TileCache()

    def is_exact(self, level: int) -> bool:
        return True  # coordinates are in pixels of the level

    def read_level(self, level: int, x: int, y: int, width_px: int, height_px: int) -> Pixels:
        out, inside, left, top = white_region(self.levels[level], x, y, width_px, height_px)
        if not inside.size:
            return out
        try:
            grid = self._levels[level].grid
            grid.copy_region(inside, left, top, lambda index: self._cache.get(level, index, self._decode))
        except OSError as error:
            raise UnreadableSlide(Failure.of("decode", error)) from None
        except MemoryError:
            raise UnreadableSlide(no_memory()) from None
        return out

    def close(self) -> None:
        for image in self._images:
            image.close()

    def _decode(self, level: int, index: int) -> Pixels | None:
        image = self._levels[level]
        frame = image.frame_at.get(index)
        return None if frame is None else image.frames.decode(frame)


class _Image:
    """One file: its header and, once opened, its frames. frame_at: by the place in the grid, row by row."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")  # noqa: SIM115
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of unusual metadata, in every worker
                self._header = header = pydicom.dcmread(self._file, stop_before_pixels=True)
            self._start = self._file.tell()
            if not str(header.get("SOPClassUID", "")).startswith(_MICROSCOPY):
                raise UnsupportedSlide(f"it is not a slide but a {header.SOPClassUID.name}")
            self.width_px = int(header.get("TotalPixelMatrixColumns") or header.Columns)
            self.height_px = int(header.get("TotalPixelMatrixRows") or header.Rows)
            kind = [str(word).upper() for word in header.get("ImageType") or ()]
            self.flavor = kind[2] if len(kind) > 2 else ""
            if min(self.width_px, self.height_px, int(header.Columns), int(header.Rows)) < 1:
                raise UnsupportedSlide("its images have no size")
            self.grid = TileGrid(self.width_px, self.height_px, int(header.Columns), int(header.Rows))
        except BaseException:
            self._file.close()
            raise

    def open(self) -> None:
        self.frames = Frames(self._file, self._header, self._start)
        across, down = -(-self.width_px // self.grid.tile_width_px), -(-self.height_px // self.grid.tile_height_px)
        places = self._header.get("PerFrameFunctionalGroupsSequence")
        if places and str(self._header.get("DimensionOrganizationType", "")) != "TILED_FULL":
            self.frame_at = self._sparse(places, across)
            return
        if len(self.frames) < across * down:
            raise UnsupportedSlide(f"it has {len(self.frames):,} of {across * down:,} tiles")
        self.frame_at = {i: i for i in range(across * down)}  # further focal planes and optical paths come after these

    def close(self) -> None:
        self._file.close()

    def _sparse(self, places: Any, across: int) -> dict[int, int]:
        found: dict[int, int] = {}
        for frame, groups in enumerate(places):
            place = groups.PlanePositionSlideSequence[0]
            x, y = (
                int(place.ColumnPositionInTotalImagePixelMatrix) - 1,
                int(place.RowPositionInTotalImagePixelMatrix) - 1,
            )
            if x % self.grid.tile_width_px or y % self.grid.tile_height_px:
                raise UnsupportedSlide("its tiles overlap")
            found.setdefault(y // self.grid.tile_height_px * across + x // self.grid.tile_width_px, frame)
        return found

    @property
    def scale(self) -> ScaleFacts:
        mpp = power = None
        with contextlib.suppress(AttributeError, IndexError, TypeError, ValueError):
            row, column = self._header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
            mpp = float(column) * 1000, float(row) * 1000
        with contextlib.suppress(AttributeError, IndexError, TypeError, ValueError):
            power = float(self._header.OpticalPathSequence[0].ObjectiveLensPower)
        return ScaleFacts(mpp, None, power)


def _pyramid(images: list[_Image]) -> list[_Image]:
    """The largest image and its smaller versions, finest first."""
    ordered = sorted(images, key=lambda image: -image.width_px * image.height_px)
    first, found = ordered[0], ordered[:1]
    for image in ordered[1:]:
        width, height = first.width_px / image.width_px, first.height_px / image.height_px
        slack = _SLACK + 2 / min(image.width_px, image.height_px)
        if image.width_px < found[-1].width_px and max(width, height) <= min(width, height) * slack:
            found.append(image)
    return found
