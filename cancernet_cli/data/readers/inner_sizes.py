"""The size that a compressed image states itself, read without decoding it.

A TIFF's tile, or a JPEG 2000 file, states a size twice. Codecs allocate what the inner statement asks for, so that ten
kilobytes can ask for twelve gigabytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

Size = tuple[int, int]

_JXL_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


def inner_size(data: bytes) -> Size | None:
    """Width and height by the header of a JPEG, JPEG 2000, JPEG XR, JPEG XL, PNG or WebP.

    None for other content, and for a header that makes no sense.
    """
    for signature, read in _READERS:
        if data.startswith(signature):
            try:
                return read(data)
            except (struct.error, IndexError, ValueError):
                return None
    return None


def jpeg2000_size(data: bytes) -> Size | None:
    """The size in the SIZ marker of a codestream, which may lie in a JP2 file (ISO/IEC 15444-1, A.5.1).

    Raises:
        struct.error: the marker is cut off.
    """
    at = data.find(b"\xff\x4f\xff\x51")
    if at < 0:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    return right - left, bottom - top


def webp_size(data: bytes) -> Size | None:
    """Width and height from the first chunk (RFC 9649, sections 2.5 to 2.7); None if it is of an unknown kind.

    Raises:
        IndexError: the file ends within its header.
    """
    data[29]
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        packed = int.from_bytes(data[21:25], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


def _jpeg(data: bytes) -> Size | None:
    at = 2
    while data[at] == 0xFF:
        kind = data[at + 1]
        if kind == 0xFF:  # padding
            at += 1
        elif 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _png(data: bytes) -> Size:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg_xr(data: bytes) -> Size | None:
    """The larger of the sizes in the container's directory and in the codestream (ITU-T T.832, A.7 and 8.3)."""
    sizes = []
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    tags = {tag: value for tag, _, _, value in struct.iter_unpack("<HHII", data[at + 2 : at + 2 + 12 * count])}
    if 0xBC80 in tags and 0xBC81 in tags:
        sizes.append((tags[0xBC80], tags[0xBC81]))
    stream = data.find(b"WMPHOTO\0")
    if stream >= 0:
        is_short = data[stream + 10] & 0x80
        width, height = struct.unpack_from(">HH" if is_short else ">II", data, stream + 12)
        sizes.append((width + 1, height + 1))
    return (max(w for w, _ in sizes), max(h for _, h in sizes)) if sizes else None


def _jpeg_xl(data: bytes) -> Size | None:
    """The SizeHeader of a codestream (ISO/IEC 18181-1, D.2), which may lie in a box."""
    at = 0
    if not data.startswith(b"\xff\x0a"):
        at = max(data.find(b"jxlc\xff\x0a") + 4, data.find(b"jxlp") + 8 if b"jxlp" in data else 0)
    bits, position = int.from_bytes(data[at + 2 : at + 14], "little"), 0

    def take(count: int) -> int:
        nonlocal position
        value = bits >> position & ((1 << count) - 1)
        position += count
        return value

    def side() -> int:
        return 8 * (1 + take(5)) if is_small else 1 + take((9, 13, 18, 30)[take(2)])

    is_small = take(1)
    height = side()
    ratio = take(3)
    if ratio == 0:
        return side(), height
    across, down = _JXL_RATIOS[ratio]
    return height * across // down, height


_READERS: tuple[tuple[bytes, Callable[[bytes], Size | None]], ...] = (
    (b"\xff\xd8", _jpeg),
    (b"\xff\x4f\xff\x51", jpeg2000_size),
    (b"\0\0\0\x0cjP  \r\n\x87\n", jpeg2000_size),
    (b"II\xbc", _jpeg_xr),
    (b"\xff\x0a", _jpeg_xl),
    (b"\0\0\0\x0cJXL \r\n\x87\n", _jpeg_xl),
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"RIFF", webp_size),
)
