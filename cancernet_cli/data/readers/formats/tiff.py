"""TIFF: libtiff for 16-bit color, Pillow for most others, tifffile for what these cannot read."""

from __future__ import annotations

import io
from contextlib import suppress

import imagecodecs
import numpy as np
from PIL import TiffImagePlugin

from cancernet_cli.data.readers.base import (
    FIRST_OF_SEVERAL,
    FlaggedPixels,
    OpenedImage,
    UnsupportedPixels,
    readers,
)
from cancernet_cli.data.readers.pixels import pillow_limit_lifted, pillow_to_rgb, samples_to_rgb, upright
from cancernet_cli.data.readers.strict_jpeg import check_part
from cancernet_cli.data.readers.tiff.colors import BLACK_IS_ZERO, RGB, WHITE_IS_ZERO, to_rgb
from cancernet_cli.data.readers.tiff.directories import (
    BITS,
    COMPRESSION,
    EXTRA_SAMPLES,
    JPEG_TABLES,
    ORIENTATION,
    PHOTOMETRIC,
    PLANAR,
    SAMPLE_FORMAT,
    SAMPLES,
    Directory,
    starting_at,
)
from cancernet_cli.data.readers.tiff.pages import choose_pages
from cancernet_cli.data.readers.tiff.segments import check_layout, segments
from cancernet_cli.data.readers.tiff.tolerant import decode_page, is_raw_ycbcr
from cancernet_cli.data.signatures import TIFF

# Uncompressed, fax, LZW, JPEG, Deflate, PackBits, LZMA, Zstandard. Pillow lists WebP, but its wheels cannot read it.
_COMMON = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000})
_UNSIGNED, _SIGNED, _FLOAT, _VOID = 1, 2, 3, 4
_SEPARATE, _JPEG = 2, 7


@readers.register("tiff", endings=(".tif", ".tiff"), signatures=TIFF)
def tiff(data: bytes) -> OpenedImage:
    """A TIFF or BigTIFF image: its largest full page, or three pages that are the channels of one image."""
    chosen = choose_pages(data)
    for page in chosen.pages:
        _check(page)

    def decode() -> FlaggedPixels:
        found = [_decode(page) for page in chosen.pages]
        pixels = found[0].pixels if len(found) == 1 else np.dstack([one.pixels[..., 0] for one in found])
        flags = tuple(dict.fromkeys(flag for one in found for flag in one.flags))
        return FlaggedPixels(pixels, (*flags, FIRST_OF_SEVERAL) if chosen.has_more else flags)

    return OpenedImage(*chosen.pages[0].size, decode)


def _check(page: Directory) -> None:
    """Raise if a page's pixels are not colors, or if its directory does not list all of them."""
    bits = max(page.numbers(BITS, (1,)))
    kinds = set(page.numbers(SAMPLE_FORMAT, (_UNSIGNED,)))
    if kinds - {_UNSIGNED, _VOID} or bits > 16:
        kind = "floating-point" if _FLOAT in kinds else "signed" if _SIGNED in kinds else "unsigned"
        raise UnsupportedPixels(
            f"its pixels are {bits}-bit {kind} numbers without a defined color range; save it with 8 or 16 bits"
        )
    if min(page.size) < 1:
        raise UnsupportedPixels("its directory does not state its width and height")
    check_layout(page)


def _decode(page: Directory) -> FlaggedPixels:
    """By the fast decoder for its kind, or else by the tolerant one, whose reason is the better one if it fails too."""
    bits = max(page.numbers(BITS, (1,)))
    damage = _damage(page) if page.number(COMPRESSION, 1) == _JPEG else ()
    found = _undamaged(page, bits)
    return found._replace(flags=(*found.flags, *damage))


def _damage(page: Directory) -> tuple[str, ...]:
    """Flags of the JPEG strips or tiles; libtiff and Pillow would fill up what is missing.

    Raises:
        ValueError: one is truncated or damaged. TruncatedImage: one is not in the file.
    """
    tables, samples = page.content(JPEG_TABLES), page.number(SAMPLES, 1)
    found = [flag for part in segments(page) for flag in check_part(part, tables, samples)]
    return tuple(dict.fromkeys(found))


def _undamaged(page: Directory, bits: int) -> FlaggedPixels:
    if page.number(COMPRESSION, 1) in _COMMON and PHOTOMETRIC in page and not is_raw_ycbcr(page):
        with suppress(Exception):  # decoders raise anything
            return _by_libtiff(page) if bits == 16 else _by_pillow(page, bits)
    pixels, flags = decode_page(page)
    return FlaggedPixels(upright(pixels, page.number(ORIENTATION, 1)), flags)


def _by_pillow(page: Directory, bits: int) -> FlaggedPixels:
    # not Image.open, which checks Pillow's limit on pixels
    image = TiffImagePlugin.TiffImageFile(io.BytesIO(starting_at(page.data, page)))
    with pillow_limit_lifted():
        image.load()
    if bits > 8 and image.mode.startswith("I;16"):  # for example 12 bits; Pillow has applied the orientation on loading
        samples = np.asarray(image).astype(np.uint16)
        return FlaggedPixels(samples_to_rgb(samples, bits=bits))
    # Pillow takes a fourth sample for alpha where the tag ExtraSamples is missing
    return pillow_to_rgb(image, has_alpha=EXTRA_SAMPLES in page)


def _by_libtiff(page: Directory) -> FlaggedPixels:
    if page.number(PHOTOMETRIC, BLACK_IS_ZERO) not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
        raise ValueError("libtiff gives no RGB")
    samples = np.asarray(imagecodecs.tiff_decode(starting_at(page.data, page), index=0))
    if page.number(PLANAR, 1) == _SEPARATE and page.number(SAMPLES, 1) > 1:
        samples = np.moveaxis(samples, 0, 2)
    pixels, flags = to_rgb(samples, page)
    return FlaggedPixels(upright(pixels, page.number(ORIENTATION, 1)), flags)
