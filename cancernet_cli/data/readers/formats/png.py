"""PNG: checksums, then libspng for plain RGB, libpng for 16 bits, Pillow for all others."""

from __future__ import annotations

import io
import zlib
from functools import partial

import imagecodecs
from PIL import PngImagePlugin

from cancernet_cli.data.readers.base import (
    FIRST_OF_SEVERAL,
    ChecksumMismatch,
    FlaggedPixels,
    OpenedImage,
    TruncatedImage,
    UnsupportedPixels,
    readers,
)
from cancernet_cli.data.readers.pixels import exif_orientation, pillow_to_rgb, samples_to_image, upright

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB = 2


@readers.register("png", endings=(".png",), signatures=(_SIGNATURE,))
def png(data: bytes) -> OpenedImage:
    """A PNG image; decoded only if the checksums of all chunks match."""
    if len(data) < 33:
        raise TruncatedImage("the file ends within its header")
    if data[12:16] != b"IHDR":
        raise UnsupportedPixels(
            "it is Apple's own variant of PNG (CgBI), which other programs cannot read; save it as PNG"
            if data[12:16] == b"CgBI"
            else f"a PNG whose first chunk is {data[12:16]!r}, not its header"
        )
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return OpenedImage(width, height, partial(_decode, data))


def _decode(data: bytes) -> FlaggedPixels:
    chunks = _checked_chunks(data)
    depth, colours = data[24], data[25]
    is_plain = b"tRNS" not in chunks and (depth == 16 or (depth == 8 and colours == _RGB))
    decode = _fast if is_plain else _by_pillow
    try:
        pixels, flags = decode(data)
    except Exception:  # libspng and Pillow refuse long texts and color profiles
        plain = _without_metadata(data)
        if len(plain) == len(data):
            raise
        pixels, flags = decode(plain)
    if is_plain and b"eXIf" in chunks:
        pixels = upright(pixels, exif_orientation(chunks[b"eXIf"]))
    is_animated = int.from_bytes(chunks.get(b"acTL", b"")[:4], "big") > 1
    return FlaggedPixels(pixels, (*flags, FIRST_OF_SEVERAL) if is_animated else flags)


def _fast(data: bytes) -> FlaggedPixels:
    if data[24] == 16:
        return samples_to_image(imagecodecs.png_decode(_without_metadata(data)))  # libpng warns of them on stderr
    return FlaggedPixels(imagecodecs.spng_decode(data))


def _by_pillow(data: bytes) -> FlaggedPixels:
    # Not Image.open, which checks Pillow's limit on pixels; ours has been checked
    return pillow_to_rgb(PngImagePlugin.PngImageFile(io.BytesIO(data)))


def _checked_chunks(data: bytes) -> dict[bytes, bytes]:
    """Verify the checksums of all chunks and return those that change how pixels are shown.

    Raises:
        ChecksumMismatch: a checksum is wrong. libspng and OpenCV would decode such a file partially.
        TruncatedImage: the file ends before its end marker.
    """
    view = memoryview(data)
    kept: dict[bytes, bytes] = {}
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        length = int.from_bytes(view[at : at + 4], "big")
        kind = bytes(view[at + 4 : at + 8])
        end = at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise ChecksumMismatch(f"the checksum of chunk {kind.decode('ascii', 'replace')} at byte {at} is wrong")
        if kind in (b"tRNS", b"eXIf", b"acTL"):
            kept[kind] = bytes(view[at + 8 : end - 4])
        if kind == b"IEND":
            return kept
        at = end
    raise TruncatedImage(f"the file ends after {len(data)} bytes, without the end marker IEND")


def _without_metadata(data: bytes) -> bytes:
    """The same PNG without the chunks that say nothing about its pixels; its chunks have been checked."""
    kept = [_SIGNATURE]
    at = len(_SIGNATURE)
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        if kind[0] & 32 == 0 or kind in (b"tRNS", b"eXIf"):  # critical chunks begin with a capital
            kept.append(data[at:end])
        if kind == b"IEND":
            break
        at = end
    return b"".join(kept)
