"""JPEG, through libjpeg-turbo."""

from __future__ import annotations

import io
from collections.abc import Iterator

import simplejpeg
from PIL import JpegImagePlugin

from cancernet_cli.data.readers.base import (
    DAMAGED,
    FlaggedPixels,
    Needs,
    OpenedImage,
    ShrunkImage,
    TooManyScans,
    readers,
)
from cancernet_cli.data.readers.pixels import TURNED, exif_orientation, pillow_to_rgb, upright
from cancernet_cli.data.readers.strict_jpeg import decode_strictly

# Only powers of two make the inverse transform cheaper. A factor that does not divide a side would stretch the image,
# because its last pixel would cover less of it than the others.
FACTORS = (8, 4, 2)


# Encoders write 10 scans; each takes as long as the whole picture. EXIF thumbnails count as well.
MAX_SCANS = 100
_APP1 = 0xE1
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_SCAN = b"\xff\xda"


@readers.register("jpeg", endings=(".jpg", ".jpeg", ".jpe", ".jfif"), signatures=(b"\xff\xd8\xff",))
def jpeg(data: bytes) -> OpenedImage:
    """A JPEG image; CMYK and other color spaces that simplejpeg does not support are decoded by Pillow.

    Strict, so that a truncated or damaged file is an error; OpenCV would fill the missing part with gray. Stray bytes
    before the end, or a missing end marker, leave all pixels as they are: such a file is read, with a flag.
    """
    flags: tuple[str, ...] = ()
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=True)
    except ValueError as error:
        colours, flags = "unknown", (DAMAGED,) if "Corrupt" in str(error) else ()
    if colours not in ("Gray", "YCbCr", "RGB"):
        # Not Image.open, which checks Pillow's limit on pixels; ours is checked before decoding
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        _check_scans(data)
        return OpenedImage(*image.size, decode=lambda: _with_flags(pillow_to_rgb(image), flags))
    _check_scans(data)

    def decode() -> FlaggedPixels:
        pixels, flags = decode_strictly(data)
        return FlaggedPixels(upright(pixels, _orientation(data)), flags)

    def shrink(needs: Needs) -> ShrunkImage:
        orientation = _orientation(data)
        is_turned = orientation in TURNED
        size = (height, width) if is_turned else (width, height)
        least = needs(*size)
        least_width, least_height = least[::-1] if is_turned else least
        for factor in FACTORS:
            if width % factor or height % factor:
                continue
            sides = {"min_width": width // factor, "min_height": height // factor}
            if sides["min_width"] >= least_width and sides["min_height"] >= least_height:
                pixels, flags = decode_strictly(data, **sides)
                return ShrunkImage(upright(pixels, orientation), *size, flags)
        pixels, flags = decode()
        return ShrunkImage(pixels, *size, flags)

    return OpenedImage(width, height, decode, shrink)


def _with_flags(found: FlaggedPixels, flags: tuple[str, ...]) -> FlaggedPixels:
    return found._replace(flags=(*found.flags, *flags))


def _check_scans(data: bytes) -> None:
    if not any(kind in _PROGRESSIVE for kind, _ in _segments(data)):
        return  # baseline JPEGs have a scan or three
    scans = data.count(_SCAN)
    if scans > MAX_SCANS:
        raise TooManyScans(f"{scans:,} scans, more than {MAX_SCANS}; save it as a JPEG that is not progressive")


def _orientation(data: bytes) -> int:
    for kind, start in _segments(data):
        if kind == _APP1 and data[start : start + 6] == b"Exif\0\0":
            length = int.from_bytes(data[start - 2 : start], "big")
            return exif_orientation(data[start : start + length - 2])
    return 1


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and start of the content of each segment before the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] == 0xFF:  # padding
            at += 1
            continue
        yield data[at + 1], at + 4
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
