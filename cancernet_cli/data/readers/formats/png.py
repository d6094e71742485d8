"""PNG: checksums, then libspng for plain RGB, libpng for 16 bits, Pillow for all others."""

from __future__ import annotations

import io
import zlib
from functools import partial

import imagecodecs
from PIL import PngImagePlugin

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.data.readers.base import ChecksumMismatch, OpenedImage, TruncatedImage, readers
from cancernet_cli.data.readers.pixels import exif_orientation, pillow_to_rgb, samples_to_rgb, upright

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB = 2


@readers.register("png", endings=(".png",), signatures=(_SIGNATURE,))
def png(data: bytes) -> OpenedImage:
    """A PNG image; decoded only if the checksums of all chunks match."""
    if len(data) < 33:
        raise TruncatedImage("the file ends within its header")
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return OpenedImage(width, height, partial(_decode, data))


def _decode(data: bytes) -> Pixels:
    chunks = _checked_chunks(data)
    depth, colours = data[24], data[25]
    if b"tRNS" not in chunks and (depth == 16 or (depth == 8 and colours == _RGB)):
        pixels = samples_to_rgb(imagecodecs.png_decode(data)) if depth == 16 else imagecodecs.spng_decode(data)
        return upright(pixels, exif_orientation(chunks[b"eXIf"])) if b"eXIf" in chunks else pixels
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
        if kind in (b"tRNS", b"eXIf"):
            kept[kind] = bytes(view[at + 8 : end - 4])
        if kind == b"IEND":
            return kept
        at = end
    raise TruncatedImage(f"the file ends after {len(data)} bytes, without the end marker IEND")
