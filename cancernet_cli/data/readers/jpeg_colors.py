"""Which colors a JPEG holds, as far as it tells itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

ColorSpace = Literal["RGB", "YCBCR"]

_JFIF, _ADOBE = 0xE0, 0xEE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_LETTERS = (b"RGB", b"rgb")


def jpeg_colors(data: bytes) -> ColorSpace | None:
    """The color space of a JPEG with three components; None for others, and where nothing tells.

    As libjpeg decides (`jdapimin.c`): by the JFIF marker, else by Adobe's, else by the components' names. RGB
    is never stored with fewer samples of one color than of another.
    """
    jfif: ColorSpace | None = None
    adobe: ColorSpace | None = None
    for kind, content in _segments(data):
        if kind == _JFIF and content[:5] == b"JFIF\0":
            jfif = "YCBCR"
        if kind == _ADOBE and content[:5] == b"Adobe" and len(content) >= 12:
            adobe = "YCBCR" if content[11] else "RGB"
        if kind in _FRAMES:
            if len(content) < 15 or content[5] != 3:
                return None
            names, sampling = content[6:15:3], content[7:15:3]
            return jfif or adobe or ("RGB" if names in _LETTERS else "YCBCR" if len(set(sampling)) > 1 else None)
    return None


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment before the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] == 0xFF:  # padding
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield data[at + 1], data[at + 4 : at + 2 + length]
        at += 2 + length
