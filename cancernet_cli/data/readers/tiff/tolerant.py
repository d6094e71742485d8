"""Decode one page with tifffile and imagecodecs, which read more layouts than Pillow and libtiff do.

As strict as these: every strip or tile has to be there, to have the size that the directory states, and to decode
without a warning.
"""

from __future__ import annotations

import io
import logging
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cancernet_cli.data.readers.base import Contradiction, FlaggedPixels, TruncatedImage, UnsupportedPixels
from cancernet_cli.data.readers.inner_sizes import inner_size
from cancernet_cli.data.readers.strict_jpeg import check_part
from cancernet_cli.data.readers.tiff.colors import YCBCR, to_rgb
from cancernet_cli.data.readers.tiff.directories import (
    BITS,
    COMPRESSION,
    PHOTOMETRIC,
    PLANAR,
    ROWS_PER_STRIP,
    SUBSAMPLING,
    Directory,
    starting_at,
)
from cancernet_cli.data.readers.tiff.segments import segments

_JPEG = 7
_WITH_OWN_COLORS = (6, 7, 34892, 33003, 33005, 34712, 50001)  # their decoders give RGB
_BLOCK = 64  # an encoder may fill up a strip to whole blocks
_SEPARATE = 2


def decode_page(page: Directory) -> FlaggedPixels:
    """The pixels of a page, not yet turned upright.

    Raises:
        TruncatedImage: a strip or tile is missing. Contradiction: one states another size than the page.
        UnsupportedPixels: its samples are no colors. Other exceptions: whatever a codec raises.
    """
    import tifffile  # slow to import, and few files need it

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it would log unusual metadata to stderr
    with tifffile.TiffFile(io.BytesIO(starting_at(page.data, page))) as file:
        found: Any = file.pages.first
        if found.imagedepth > 1:
            raise UnsupportedPixels(f"a stack of {found.imagedepth} planes; save one of them")
        if page.number(PHOTOMETRIC, -1) == YCBCR and found.compression not in _WITH_OWN_COLORS:
            return _from_ycbcr(page, found, tifffile.TIFF.DECOMPRESSORS)
        samples = _samples(page, found)
    return to_rgb(samples, page)


def is_raw_ycbcr(page: Directory) -> bool:
    """Whether it is uncompressed YCbCr with fewer color samples than pixels, which Pillow takes for truncated."""
    is_plain = page.number(PHOTOMETRIC, -1) == YCBCR and page.number(COMPRESSION, 1) == 1
    return is_plain and page.numbers(SUBSAMPLING, (2, 2))[:2] != (1, 1)


def _samples(page: Directory, found: Any) -> NDArray[Any]:
    """`[H, W, S]` of a page that tifffile has opened."""
    dtype = np.dtype(np.uint8 if found.dtype == np.bool_ else found.dtype)
    if dtype not in (np.uint8, np.uint16):
        raise UnsupportedPixels(f"its pixels are of type {dtype}; save it with 8 or 16 bits")
    width, height = page.size
    samples = int(found.samplesperpixel)
    planes, contiguous = (samples, 1) if found.planarconfig == _SEPARATE else (1, samples)
    out = np.zeros((planes, height, width, contiguous), dtype)
    for index, data in enumerate(segments(page)):
        tables = {} if found.jpegtables is None else {"jpegtables": found.jpegtables}
        _check_inner(data, index, found)
        decoded, (plane, _, top, left, _), _ = found.decode(data, index, **tables)
        part = np.asarray(decoded)[0]
        room = out[plane, top : top + part.shape[0], left : left + part.shape[1]]
        room[:] = part[: room.shape[0], : room.shape[1]]
    return np.moveaxis(out[..., 0], 0, 2) if planes > 1 else out[0]


def _check_inner(data: bytes, index: int, found: Any) -> None:
    """Raise if a strip or tile states a larger size than the directory, or is a JPEG with damage."""
    inner = inner_size(data)
    width, height = (found.tilewidth, found.tilelength) if found.is_tiled else (found.imagewidth, found.rowsperstrip)
    if inner is not None and (inner[0] > width or inner[1] > min(height, found.imagelength + _BLOCK)):
        raise Contradiction(f"strip or tile {index} holds {inner[0]} x {inner[1]} pixels, more than {width} x {height}")
    if found.compression == _JPEG:
        check_part(data, found.jpegtables or b"", found.samplesperpixel)


def _from_ycbcr(page: Directory, found: Any, decompressors: Any) -> FlaggedPixels:
    """Uncompressed or losslessly compressed YCbCr, of which the colors may be subsampled (TIFF 6.0, section 21).

    A unit has the brightness of `across * down` pixels, row by row, then one blue and one red difference.
    """
    across, down = (page.numbers(SUBSAMPLING) or (2, 2))[:2]
    if page.number(BITS, 8) != 8 or page.number(PLANAR, 1) == _SEPARATE or found.is_tiled or found.predictor != 1:
        raise UnsupportedPixels("its colors are YCbCr in an unusual layout; save it as RGB")
    if across not in (1, 2, 4) or down not in (1, 2, 4):
        raise Contradiction(f"its colors are subsampled by {across} x {down}")
    width, height = page.size
    units, rows = math.ceil(width / across), max(1, min(page.number(ROWS_PER_STRIP, height), height))
    out = np.zeros((height, width, 3), np.uint8)
    for index, data in enumerate(segments(page)):
        top = index * rows
        part = out[top : top + rows]
        groups = math.ceil(len(part) / down)
        size = groups * units * (across * down + 2)
        if found.compression != 1:
            data = bytes(decompressors[found.compression](data, out=size))
        if len(data) < size:
            raise TruncatedImage(f"strip {index} has {len(data):,} of {size:,} bytes")
        unit = np.frombuffer(data, np.uint8, size).reshape(groups, units, across * down + 2)
        bright = unit[..., :-2].reshape(groups, units, down, across).swapaxes(1, 2).reshape(groups * down, -1)
        part[..., 0] = bright[: len(part), :width]
        for channel in (1, 2):
            spread = unit[..., channel - 3].repeat(down, axis=0).repeat(across, axis=1)
            part[..., channel] = spread[: len(part), :width]
    return FlaggedPixels(np.asarray(Image.fromarray(out, "YCbCr").convert("RGB")))
