"""An open TIFF whose tiles or strips tifffile decodes."""

from __future__ import annotations

import contextlib
import os
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.records import Failure
from cancernet_cli.data.readers.pixels import samples_to_rgb
from cancernet_cli.data.resolution import ScaleFacts, mpp_from_tiff
from cancernet_cli.data.slides.base import Level, UnreadableSlide, UnsupportedSlide, on_white
from cancernet_cli.data.slides.tiff import tiff_shape, tifffile_page
from cancernet_cli.data.slides.tiff_directories import read_directories
from cancernet_cli.data.slides.tile_grid import TileCache, TileGrid

_MAX_SEGMENT_BYTES = 512 * 1024**2
_GRAY, _COLORS = ("MINISBLACK", "MINISWHITE"), ("RGB", "YCBCR")
_UNITS = {"µm": 1.0, "um": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}


class TiffSlide:
    """A TIFF whose tiles or strips are decoded one by one."""

    scan_origin = 0, 0

    def __init__(self, location: bytes) -> None:
        shape = tiff_shape(read_directories(location))
        if shape is None:
            raise UnsupportedSlide("it has no image of a known size")
        self._file = tifffile.TiffFile(os.fsdecode(location))
        try:
            self._pages = [tifffile_page(self._file, level) for level in shape.levels]
            for page in self._pages:
                _check(page)
            first = self._pages[0]
            self.vendor = "ome-tiff" if self._file.is_ome else "tiff"
            self.levels = tuple(_level(page, first) for page in self._pages)
            self._grids = [_grid(page) for page in self._pages]
            self.scale = _scale(self._file, first)
            # Uncompressed regions are read in place, because a single strip may be the whole image
            self._mapped = [page.asarray(out="memmap") if page.is_memmappable else None for page in self._pages]
        except BaseException:
            self._file.close()
            raise
        self._cache = TileCache()

    def is_exact(self, level: int) -> bool:
        return True  # coordinates are in pixels of the level

    def read_level(self, level: int, x: int, y: int, width_px: int, height_px: int) -> Pixels:
        size = self.levels[level]
        out = np.full((height_px, width_px, 3), 255, np.uint8)
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width_px, size.width_px), min(y + height_px, size.height_px)
        if left >= right or top >= bottom:
            return out
        try:
            samples = self._samples(level, left, top, right, bottom)
        except UnreadableSlide:
            raise
        except MemoryError:
            raise UnreadableSlide(Failure("decode", "MemoryError", "not enough memory for its pixels")) from None
        except Exception as error:  # codecs raise anything
            raise UnreadableSlide(Failure.of("decode", error)) from None
        out[top - y : bottom - y, left - x : right - x] = _to_rgb(samples, self._pages[level])
        return out

    def close(self) -> None:
        self._mapped.clear()
        self._cache.clear()
        self._file.close()

    def _samples(self, level: int, left: int, top: int, right: int, bottom: int) -> NDArray[Any]:
        """`[H, W, S]` of a region inside the level; white where the file has no tile."""
        page = self._pages[level]
        mapped = self._mapped[level]
        if mapped is not None:
            if _is_separate(page):  # one plane per channel
                return np.moveaxis(
                    mapped.reshape(-1, page.imagelength, page.imagewidth)[:, top:bottom, left:right], 0, 2
                )
            whole = mapped.reshape(page.imagelength, page.imagewidth, -1)
            return np.asarray(whole[top:bottom, left:right])
        found = np.full((bottom - top, right - left, int(page.samplesperpixel)), _white(page), page.dtype)
        self._grids[level].copy_region(found, left, top, lambda index: self._cache.get(level, index, self._decode))
        return found

    def _decode(self, level: int, index: int) -> NDArray[Any] | None:
        """A tile or strip, `[h, w, S]`; None if the file has none."""
        page = self._pages[level]
        count = page.databytecounts[index]
        if not count:
            return None
        handle = self._file.filehandle
        handle.seek(page.dataoffsets[index])
        data = handle.read(count)
        if len(data) < count:
            raise EOFError(f"the file ends within tile {index}")
        tables = {"jpegtables": page.jpegtables} if page.jpegtables is not None else {}
        found, _, _ = page.decode(data, index, **tables)
        return None if found is None else np.asarray(found)[0]


def _check(page: Any) -> None:
    """Raise if a page's pixels are not colors, or cannot be decoded in parts."""
    photometric = page.photometric.name
    many = page.samplesperpixel
    if photometric not in (*_GRAY, *_COLORS) or (photometric in _COLORS and many < 3) or many > 4:
        raise UnsupportedSlide(f"{many} channels of photometric {photometric}; save it as RGB or gray")
    if photometric == "YCBCR" and "JPEG" not in page.compression.name:  # only the JPEG decoder converts it to RGB
        raise UnsupportedSlide("its colors are YCbCr without JPEG compression; save it as RGB")
    if page.dtype not in (np.uint8, np.uint16):
        raise UnsupportedSlide(f"its pixels are of type {page.dtype}; save it with 8 or 16 bits per channel")
    if page.imagedepth > 1:
        raise UnsupportedSlide(f"it is a stack of {page.imagedepth} planes; save one of them")
    grid = _grid(page)
    size = grid.tile_width_px * grid.tile_height_px * many * page.dtype.itemsize
    if not page.is_memmappable and size > _MAX_SEGMENT_BYTES:
        raise UnsupportedSlide(
            f"one strip of {size / 1024**2:,.0f} MiB would have to be decoded at once; "
            "convert it to tiles, for example with `vips tiffsave --tile --pyramid`"
        )


def _level(page: Any, first: Any) -> Level:
    width, height = int(page.imagewidth), int(page.imagelength)
    return Level(width, height, (first.imagewidth / width + first.imagelength / height) / 2)


def _grid(page: Any) -> TileGrid:
    width, height = int(page.imagewidth), int(page.imagelength)
    planes = int(page.samplesperpixel) if _is_separate(page) else 1
    if page.is_tiled:
        return TileGrid(width, height, int(page.tilewidth), int(page.tilelength), planes)
    return TileGrid(width, height, width, min(int(page.rowsperstrip), height), planes)


def _is_separate(page: Any) -> bool:
    return bool(page.planarconfig == 2 and page.samplesperpixel > 1)


def _white(page: Any) -> int:
    return 0 if page.photometric.name == "MINISWHITE" else int(np.iinfo(page.dtype).max)


def _to_rgb(samples: NDArray[Any], page: Any) -> Pixels:
    """`[H, W, 1 to 4]` as RGB; a second or fourth channel is alpha."""
    if page.photometric.name == "MINISWHITE":
        samples = np.iinfo(page.dtype).max - samples
    if samples.dtype == np.uint16:
        return samples_to_rgb(np.ascontiguousarray(samples))
    many = samples.shape[2]
    if many == 3:
        return samples
    colors = samples[..., :3] if many == 4 else np.repeat(samples[..., :1], 3, axis=2)
    return colors if many == 1 else on_white(np.concatenate([colors, samples[..., -1:]], axis=2))


def _scale(file: tifffile.TiffFile, page: Any) -> ScaleFacts:
    mpp, power = _ome_scale(file.ome_metadata or "") if file.is_ome else (None, None)
    resolution: tuple[float, float] | None = None
    with contextlib.suppress(Exception):  # for example a resolution of 1/0
        resolution = page.get_resolution()
    unit = getattr(page.tags.get("ResolutionUnit"), "value", 2)  # TIFF 6.0: inches by default
    name = {2: "inch", 3: "centimeter"}.get(int(unit), "")
    has_resolution = "XResolution" in page.tags and "YResolution" in page.tags
    return ScaleFacts(mpp, mpp_from_tiff(resolution, name) if has_resolution else None, power)


def _ome_scale(text: str) -> tuple[tuple[float, float] | None, float | None]:
    """(x, y) in micrometers and the objective's magnification from OME-XML; None if not specified."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None, None
    pixels, objective = root.find(".//{*}Pixels"), root.find(".//{*}Objective")
    mpp = None
    with contextlib.suppress(AttributeError, KeyError, ValueError):
        assert pixels is not None
        x, y = (
            float(pixels.attrib[f"PhysicalSize{axis}"]) * _UNITS[pixels.get(f"PhysicalSize{axis}Unit", "µm")]
            for axis in "XY"
        )
        mpp = x, y
    power = None
    with contextlib.suppress(KeyError, ValueError):
        power = float(objective.attrib["NominalMagnification"]) if objective is not None else None
    return mpp, power
