"""Windows bitmaps, through Pillow."""

from __future__ import annotations

import io

from PIL import BmpImagePlugin

from cancernet_cli.data.readers.base import OpenedImage, readers
from cancernet_cli.data.readers.pixels import pillow_to_rgb


@readers.register("bmp", endings=(".bmp",), signatures=(b"BM",))
def bmp(data: bytes) -> OpenedImage:
    """A BMP image; Pillow reads its pixels only on decoding."""
    image = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    return OpenedImage(*image.size, decode=lambda: pillow_to_rgb(image))
