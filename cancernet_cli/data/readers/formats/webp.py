"""WebP, through Pillow."""

from __future__ import annotations

import io

from PIL import WebPImagePlugin

from cancernet_cli.data.readers.base import FlaggedPixels, OpenedImage, TruncatedImage, UnsupportedPixels, readers
from cancernet_cli.data.readers.inner_sizes import webp_size
from cancernet_cli.data.readers.pixels import first_frame, pillow_limit_lifted


@readers.register("webp", endings=(".webp",), signatures=(b"RIFF????WEBP",))
def webp(data: bytes) -> OpenedImage:
    """A WebP image, or the first frame of an animation.

    Its size is read here, because Pillow allocates the whole canvas on opening.
    """

    def decode() -> FlaggedPixels:
        with pillow_limit_lifted():
            image = WebPImagePlugin.WebPImageFile(io.BytesIO(data))
        return first_frame(image)

    if len(data) < 30:
        raise TruncatedImage("the file ends within its header")
    size = webp_size(data)
    if size is None:
        raise UnsupportedPixels(f"a WebP whose first chunk is {data[12:16]!r}")
    return OpenedImage(*size, decode)
