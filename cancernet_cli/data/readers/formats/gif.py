"""GIF, first frame, through Pillow."""

from __future__ import annotations

import io

from PIL import GifImagePlugin

from cancernet_cli.data.readers.base import OpenedImage, readers
from cancernet_cli.data.readers.pixels import first_frame, pillow_limit_lifted


@readers.register("gif", endings=(".gif",), signatures=(b"GIF87a", b"GIF89a"))
def gif(data: bytes) -> OpenedImage:
    """A GIF image, or the first frame of an animation; Pillow reads its pixels only on decoding."""
    with pillow_limit_lifted():
        image = GifImagePlugin.GifImageFile(io.BytesIO(data))
    return OpenedImage(*image.size, decode=lambda: first_frame(image))
