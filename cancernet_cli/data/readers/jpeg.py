"""JPEG, through libjpeg-turbo."""

from __future__ import annotations

import io

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import JpegImagePlugin

from cancernet_cli.data.readers.base import OpenedImage, readers
from cancernet_cli.data.readers.pixels import exif_orientation, pillow_to_rgb, upright


@readers.register("JPEG", magic=(b"\xff\xd8\xff",))
def jpeg(data: bytes) -> OpenedImage:
    """A JPEG; CMYK and what libjpeg-turbo's simple interface does not know go through Pillow.

    Strict, so that a truncated or damaged file is an error: OpenCV fills what is missing with grey.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=True)
    except ValueError:
        colours = "unknown"
    if colours not in ("Gray", "YCbCr", "RGB"):
        # The class, not Image.open, which asks Pillow's limit on pixels; ours is asked before decoding
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        return OpenedImage(*image.size, decode=lambda: pillow_to_rgb(image))

    def decode() -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", strict=True)
        block = _exif(data)
        return upright(pixels, exif_orientation(block)) if block else pixels

    return OpenedImage(width, height, decode)


def _exif(data: bytes) -> bytes:
    """The EXIF block among the segments before the pixels, or nothing."""
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
