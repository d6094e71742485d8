"""JPEG, through libjpeg-turbo."""

from __future__ import annotations

import io

import simplejpeg
from PIL import JpegImagePlugin

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.data.readers.base import Needs, OpenedImage, ShrunkImage, readers
from cancernet_cli.data.readers.pixels import TURNED, exif_orientation, pillow_to_rgb, upright

# Only powers of two make the inverse transform cheaper. A factor that does not divide a side would stretch the image,
# because its last pixel would cover less of it than the others.
FACTORS = (8, 4, 2)


@readers.register("jpeg", endings=(".jpg", ".jpeg", ".jpe", ".jfif"), signatures=(b"\xff\xd8\xff",))
def jpeg(data: bytes) -> OpenedImage:
    """A JPEG image; CMYK and other color spaces that simplejpeg does not support are decoded by Pillow.

    Strict, so that a truncated or damaged file is an error; OpenCV would fill the missing part with gray.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=True)
    except ValueError:
        colours = "unknown"
    if colours not in ("Gray", "YCbCr", "RGB"):
        # Not Image.open, which checks Pillow's limit on pixels; ours is checked before decoding
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        return OpenedImage(*image.size, decode=lambda: pillow_to_rgb(image))

    def decode() -> Pixels:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", strict=True)
        return upright(pixels, _orientation(data))

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
                pixels = simplejpeg.decode_jpeg(data, "RGB", strict=True, **sides)
                return ShrunkImage(upright(pixels, orientation), *size)
        return ShrunkImage(decode(), *size)

    return OpenedImage(width, height, decode, shrink)


def _orientation(data: bytes) -> int:
    block = _exif(data)
    return exif_orientation(block) if block else 1


def _exif(data: bytes) -> bytes:
    """The EXIF block among the segments before the pixels; empty if there is none."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] == 0xFF:  # padding
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            return data[at + 4 : at + 2 + length]
        at += 2 + length
    return b""
