"""WebP, through Pillow."""

from __future__ import annotations

import io

from PIL import WebPImagePlugin

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.data.readers.base import OpenedImage, TruncatedImage, UnsupportedPixels, readers
from cancernet_cli.data.readers.pixels import pillow_limit_lifted, pillow_to_rgb


@readers.register("webp", endings=(".webp",), signatures=(b"RIFF????WEBP",))
def webp(data: bytes) -> OpenedImage:
    """A WebP image, or the first frame of an animation.

    Its size is read here, because Pillow allocates the whole canvas on opening.
    """

    def decode() -> Pixels:
        with pillow_limit_lifted():
            image = WebPImagePlugin.WebPImageFile(io.BytesIO(data))
        return pillow_to_rgb(image)

    return OpenedImage(*_size(data), decode)


def _size(data: bytes) -> tuple[int, int]:
    """Width and height from the first chunk (RFC 9649, sections 2.5 to 2.7)."""
    if len(data) < 30:
        raise TruncatedImage("the file ends within its header")
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        packed = int.from_bytes(data[21:25], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    raise UnsupportedPixels(f"a WebP whose first chunk is {kind!r}")
