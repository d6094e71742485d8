"""TIFF, first page: libtiff for 16-bit color, tifffile for rare compressions, Pillow for all others."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import imagecodecs
import numpy as np
from PIL import TiffImagePlugin

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.data.readers.base import OpenedImage, TruncatedImage, UnsupportedPixels, readers
from cancernet_cli.data.readers.pixels import pillow_limit_lifted, pillow_to_rgb, samples_to_rgb, upright
from cancernet_cli.data.signatures import TIFF

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION, _FORMAT = 256, 257, 258, 259, 262, 274, 339
# Uncompressed, fax, LZW, JPEG, Deflate, PackBits, LZMA, Zstandard. Pillow lists WebP, but its wheels cannot read it.
_COMMON = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000})
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_UNSIGNED = 1


@readers.register("tiff", endings=(".tif", ".tiff"), signatures=TIFF)
def tiff(data: bytes) -> OpenedImage:
    """A TIFF or BigTIFF image; Pillow would drop the lower 8 bits of 16-bit color, and supports few layouts of it."""
    tags = _first_directory(data)
    width, height = int(tags.get(_WIDTH, 0)), int(tags.get(_HEIGHT, 0))
    bits = max(_numbers(tags.get(_BITS, 1)))
    kinds = set(_numbers(tags.get(_FORMAT, _UNSIGNED)))
    if kinds != {_UNSIGNED} or bits > 16:
        kind = "floating-point" if 3 in kinds else "signed" if 2 in kinds else "unsigned"
        raise UnsupportedPixels(
            f"its pixels are {bits}-bit {kind} numbers without a defined color range; save it with 8 or 16 bits"
        )
    if tags.get(_COMPRESSION, 1) not in _COMMON:
        return OpenedImage(width, height, partial(_decode_rare, data, tags, bits))
    if bits == 16:
        return OpenedImage(width, height, partial(_decode_16_bit, data, tags))
    return OpenedImage(width, height, partial(_decode, data, bits))


def _decode(data: bytes, bits: int) -> Pixels:
    image = TiffImagePlugin.TiffImageFile(io.BytesIO(data))  # not Image.open, which checks Pillow's limit on pixels
    with pillow_limit_lifted():
        image.load()
    if bits > 8 and image.mode.startswith("I;16"):  # for example 12 bits; Pillow has applied the orientation on loading
        return samples_to_rgb(np.asarray(image).astype(np.uint16), bits=bits)
    return pillow_to_rgb(image)


def _decode_16_bit(data: bytes, tags: Any) -> Pixels:
    photometric = tags.get(_PHOTOMETRIC, _BLACK_IS_ZERO)
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
        raise UnsupportedPixels(f"16-bit color with photometric {photometric}; save it as RGB or gray")
    samples = imagecodecs.tiff_decode(data, index=0)
    if samples.ndim == 3 and samples.shape[2] > (4 if photometric == _RGB else 2):
        raise UnsupportedPixels(f"{samples.shape[2]} channels; save it as RGB or gray")
    if photometric == _WHITE_IS_ZERO:
        samples = 65535 - samples
    return upright(samples_to_rgb(samples), int(tags.get(_ORIENTATION, 1)))


def _decode_rare(data: bytes, tags: Any, bits: int) -> Pixels:
    """Compressions that microscope software uses: JPEG 2000, JPEG XR, JPEG XL, WebP."""
    import tifffile  # slow to import, and few files need it

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages.first
        if page.axes not in ("YX", "YXS") or page.photometric not in (_BLACK_IS_ZERO, _RGB):
            raise UnsupportedPixels(
                f"{page.compression.name} with photometric {page.photometric.name} and axes {page.axes}; "
                "save it as RGB or gray"
            )
        samples = page.asarray()
    return upright(samples_to_rgb(samples, bits=bits), int(tags.get(_ORIENTATION, 1)))


def _first_directory(data: bytes) -> Any:
    file = io.BytesIO(data)
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(16 if data[2] == 43 or data[3] == 43 else 8))
        file.seek(tags.next)
        tags.load(file)
    except Exception as error:  # Pillow raises many kinds of errors on damaged directories
        raise TruncatedImage(f"its directory cannot be read: {error}") from None
    return tags


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,)
