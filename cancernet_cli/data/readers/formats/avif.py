"""AVIF, first frame, through Pillow."""

from __future__ import annotations

import io
import struct

from PIL import Image, features

from cancernet_cli.data.readers.base import FlaggedPixels, OpenedImage, TruncatedImage, UnsupportedPixels, readers
from cancernet_cli.data.readers.pixels import first_frame, pillow_limit_lifted

_HEADER_BYTES = 65536


@readers.register("avif", endings=(".avif",), signatures=(b"????ftypavif", b"????ftypavis"))
def avif(data: bytes) -> OpenedImage:
    """An AVIF image, or the first frame of a sequence."""
    if not features.check("avif"):
        raise UnsupportedPixels("the installed Pillow cannot read AVIF; update it, or save the image as PNG")

    def decode() -> FlaggedPixels:
        with pillow_limit_lifted():
            image = Image.open(io.BytesIO(data), formats=["AVIF"])
        return first_frame(image)

    return OpenedImage(*_size(data), decode)


def _size(data: bytes) -> tuple[int, int]:
    """The largest size in the header; parts and thumbnails have their own (ISO/IEC 23008-12, 6.5.3)."""
    sizes = []
    at = data.find(b"ispe", 0, _HEADER_BYTES)
    while at >= 0 and at + 16 <= len(data):
        sizes.append(struct.unpack_from(">II", data, at + 8))
        at = data.find(b"ispe", at + 4, _HEADER_BYTES)
    if not sizes:
        raise TruncatedImage("its header does not state its size")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return width, height
