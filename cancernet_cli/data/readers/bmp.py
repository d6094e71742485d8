"""Windows bitmaps, through Pillow."""

from __future__ import annotations

import io

from PIL import BmpImagePlugin

from cancernet_cli.data.readers.base import OpenedImage, readers
from cancernet_cli.data.readers.pixels import pillow_to_rgb


@readers.register("BMP", magic=(b"BM",))
def bmp(data: bytes) -> OpenedImage:
    """A BMP; Pillow reads its header now and its pixels on decoding."""
    image = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    return OpenedImage(*image.size, decode=lambda: pillow_to_rgb(image))
