"""An open TIFF whose tiles or strips tifffile decodes."""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.data.loading.limits import failure_of, no_memory
from cancernet_cli.data.readers.base import ALPHA_IGNORED, FIRST_OF_SEVERAL
from cancernet_cli.data.readers.inner_sizes import inner_size
from cancernet_cli.data.readers.pixels import Alpha, alpha_of, samples_to_rgb
from cancernet_cli.data.readers.strict_jpeg import check_part
from cancernet_cli.data.resolution import ScaleFacts, mpp_from_tiff
from cancernet_cli.data.slides.base import Level, UnreadableSlide, UnsupportedSlide, white_region
from cancernet_cli.data.slides.ome import Ome, read_ome
from cancernet_cli.data.slides.tiff import channel_levels, tiff_shape, tifffile_page
from cancernet_cli.data.slides.tiff_directories import read_directories
from cancernet_cli.data.slides.tile_grid import TileCache, TileGrid

# How many bytes a byte can become, by TIFF's number of the compression: LZW, Deflate (twice), PackBits
_MAX_RATIO = {5: 2800, 8: 1040, 32946: 1040, 32773: 64}
_JPEG = 7
_PROBES, _PROBE_PX = 8, 64
_MAX_SEGMENT_BYTES = 512 * 1024**2
_GRAY, _COLORS = ("MINISBLACK", "MINISWHITE"), ("RGB", "YCBCR")


class TiffSlide:
    """A TIFF whose tiles or strips are decoded one by one."""

    scan_origin = 0, 0
    flags: tuple[str, ...] = ()

    def __init__(self, location: bytes) -> None:
        directories = read_directories(location)
        shape = tiff_shape(directories)
        if shape is None:
            raise UnsupportedSlide("it has no image of a known size")
        self._file = tifffile.TiffFile(os.fsdecode(location))
        try:
            ome = read_ome(self._file.ome_metadata or "") if self._file.is_ome else Ome()
            count = len(shape.levels)
            planes = channel_levels(directories, ome.channels, count) if ome.channels else [shape.levels]
            # By channel and level; one channel unless each is a separate page
            self._planes = [[tifffile_page(self._file, level) for level in levels] for levels in planes]
            for page in itertools.chain(*self._planes):
                _check(page)
            self._pages = self._planes[0]
            first = self._pages[0]
            self.vendor = "ome-tiff" if self._file.is_ome else "tiff"
            self.levels = tuple(_level(page, first) for page in self._pages)
            self._grids = [_grid(page) for page in self._pages]
            self.scale = _scale(ome, first)
            self.flags = (FIRST_OF_SEVERAL,) if ome.is_stack else ()
            # Uncompressed regions are read in place, because a single strip may be the whole image
            self._mapped = [
                [page.asarray(out="memmap") if page.is_memmappable else None for page in pages]
                for pages in self._planes
            ]
            self._cache = TileCache()
            self._alpha = alpha_of([int(kind) for kind in first.extrasamples or ()])[1]
            if self._alpha != "none" and self._is_clear(len(self.levels) - 1):
                self._alpha, self.flags = "none", (*self.flags, ALPHA_IGNORED)
        except BaseException:
            self._file.close()
            raise

    def is_exact(self, level: int) -> bool:
        return True  # coordinates are in pixels of the level

    def read_level(self, level: int, x: int, y: int, width_px: int, height_px: int) -> Pixels:
        out, inside, left, top = white_region(self.levels[level], x, y, width_px, height_px)
        if not inside.size:
            return out
        try:
            samples = self._samples(level, left, top, left + inside.shape[1], top + inside.shape[0])
        except UnreadableSlide:
            raise
        except MemoryError:
            raise UnreadableSlide(no_memory()) from None
        except Exception as error:  # codecs raise anything
            raise UnreadableSlide(failure_of("decode", error)) from None
        inside[:] = _to_rgb(samples, self._pages[level], self._alpha)
        return out

    def close(self) -> None:
        self._mapped.clear()
        self._cache.clear()
        self._file.close()

    def _is_clear(self, level: int) -> bool:
        """Whether alpha is 0 all over a level, which programs write that ignore it; False if that cannot be seen."""
        size = self.levels[level]
        try:
            for y, x in itertools.product(range(_PROBES), repeat=2):
                left, top = size.width_px * x // _PROBES, size.height_px * y // _PROBES
                right, bottom = min(left + _PROBE_PX, size.width_px), min(top + _PROBE_PX, size.height_px)
                if self._samples(level, left, top, right, bottom)[..., -1].any():
                    return False
        except Exception:  # reading its tiles will say why
            return False
        return True

    def _samples(self, level: int, left: int, top: int, right: int, bottom: int) -> NDArray[Any]:
        """`[H, W, S]` of a region inside the level; white where the file has no tile."""
        planes = [self._plane(channel, level, left, top, right, bottom) for channel in range(len(self._planes))]
        return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)

    def _plane(self, channel: int, level: int, left: int, top: int, right: int, bottom: int) -> NDArray[Any]:
        page = self._planes[channel][level]
        mapped = self._mapped[channel][level]
        if mapped is not None:
            if _is_separate(page):  # one plane per channel
                return np.moveaxis(
                    mapped.reshape(-1, page.imagelength, page.imagewidth)[:, top:bottom, left:right], 0, 2
                )
            whole = mapped.reshape(page.imagelength, page.imagewidth, -1)
            return np.asarray(whole[top:bottom, left:right])
        found = np.full((bottom - top, right - left, int(page.samplesperpixel)), _white(page), page.dtype)
        number = channel * len(self.levels) + level
        self._grids[level].copy_region(found, left, top, lambda index: self._cache.get(number, index, self._decode))
        return found

    def _decode(self, number: int, index: int) -> NDArray[Any] | None:
        """A tile or strip, `[h, w, S]`; None if the file has none. `number`: of all levels of all channels."""
        channel, level = divmod(number, len(self.levels))
        page = self._planes[channel][level]
        count = page.databytecounts[index]
        if not count:
            return None
        handle = self._file.filehandle
        handle.seek(page.dataoffsets[index])
        data = handle.read(count)
        if len(data) < count:
            raise EOFError(f"the file ends within tile {index}")
        _check_claims(data, page, self._grids[level], index)
        if int(page.compression) == _JPEG:
            check_part(data, page.jpegtables or b"", int(page.samplesperpixel))
        tables = {"jpegtables": page.jpegtables} if page.jpegtables is not None else {}
        found, _, _ = page.decode(data, index, **tables)
        return None if found is None else np.asarray(found)[0]


def _check(page: Any) -> None:
    """Raise if a page's pixels are not colors, or cannot be decoded in parts."""
    for name in ("compression", "photometric"):
        if not hasattr(getattr(page, name), "name"):  # tifffile has no name for it
            raise UnsupportedSlide(f"its {name} {getattr(page, name)} is unknown")
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


def _check_claims(data: bytes, page: Any, grid: TileGrid, index: int) -> None:
    """Raise if a compressed tile would become larger than a tile is, by its header or by what its codec can do."""
    width, height = grid.tile_width_px, grid.tile_height_px
    claimed = inner_size(data)
    if claimed is not None and (claimed[0] > width or claimed[1] > height):
        raise ValueError(f"tile {index} claims {claimed[0]:,} x {claimed[1]:,} pixels instead of {width} x {height}")
    ratio = _MAX_RATIO.get(int(page.compression))
    rows = height
    if not page.is_tiled:  # tiles are whole at the border, and the last strip is not
        rows = min(height, grid.height_px - index % -(-grid.height_px // height) * height)
    samples = 1 if grid.planes > 1 else int(page.samplesperpixel)
    if ratio and len(data) * ratio < width * rows * samples * page.dtype.itemsize:
        raise ValueError(f"tile {index} has {len(data):,} bytes, too few for {width} x {rows} pixels")


def _to_rgb(samples: NDArray[Any], page: Any, alpha: Alpha) -> Pixels:
    """`[H, W, S]` as RGB; `alpha`: what a second or fourth channel is."""
    if page.photometric.name == "MINISWHITE":
        samples = np.iinfo(page.dtype).max - samples
    if samples.shape[2] == 3 and samples.dtype == np.uint8:
        return samples
    if alpha != "none" and not samples[..., -1].any():  # nothing was scanned here, but elsewhere
        return np.full((*samples.shape[:2], 3), 255, np.uint8)
    return samples_to_rgb(np.ascontiguousarray(samples), bits=8 * page.dtype.itemsize, alpha=alpha)


def _scale(ome: Ome, page: Any) -> ScaleFacts:
    resolution: tuple[float, float] | None = None
    with contextlib.suppress(Exception):  # for example a resolution of 1/0
        resolution = page.get_resolution()
    unit = getattr(page.tags.get("ResolutionUnit"), "value", 2)  # TIFF 6.0: inches by default
    name = {2: "inch", 3: "centimeter"}.get(unit if isinstance(unit, int) else 0, "")
    has_resolution = "XResolution" in page.tags and "YResolution" in page.tags
    return ScaleFacts(ome.mpp, mpp_from_tiff(resolution, name) if has_resolution else None, ome.power)
