"""JPEG 2000: Pillow for 8 bits, OpenJPEG through imagecodecs for more and for what Pillow cannot read."""

from __future__ import annotations

import io
import struct

import imagecodecs
import numpy as np
from PIL import Jpeg2KImagePlugin

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.data.readers.base import FlaggedPixels, OpenedImage, TruncatedImage, UnsupportedPixels, readers
from cancernet_cli.data.readers.inner_sizes import jpeg2000_size
from cancernet_cli.data.readers.pixels import pillow_to_rgb, samples_to_image

_SIZ = b"\xff\x4f\xff\x51"
_COMPONENTS_AT = 40  # from the start of the codestream: their number, then three bytes each


@readers.register("jpeg2000", endings=(".jp2", ".j2k"), signatures=(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"))
def jpeg2000(data: bytes) -> OpenedImage:
    """A JPEG 2000 image: a codestream, or one in a JP2 file, whose size is that of the codestream."""
    try:
        size = jpeg2000_size(data)
        bits = _bits(data)
    except (struct.error, IndexError):
        size = None
    if size is None:
        raise TruncatedImage("the file ends within its header")

    def decode() -> Pixels | FlaggedPixels:
        if bits == {8}:
            try:
                return pillow_to_rgb(Jpeg2KImagePlugin.Jpeg2KImageFile(io.BytesIO(data)))
            except Exception:  # OpenJPEG itself reads more layouts, and its reason is the better one
                pass
        return _decode(data, max(bits))

    return OpenedImage(*size, decode)


def _bits(data: bytes) -> set[int]:
    """Bits of the components, 0 for signed ones."""
    at = data.index(_SIZ) + _COMPONENTS_AT
    (count,) = struct.unpack_from(">H", data, at)
    depths = data[at + 2 : at + 2 + 3 * count : 3]
    if not depths:
        raise IndexError
    return {0 if depth & 0x80 else depth + 1 for depth in depths}


def _decode(data: bytes, bits: int) -> FlaggedPixels:
    if not 1 <= bits <= 16:
        raise UnsupportedPixels("its pixels are signed or have more than 16 bits; save it with 8 or 16 bits")
    samples = np.asarray(imagecodecs.jpeg2k_decode(data))
    if samples.dtype not in (np.uint8, np.uint16) or samples.ndim > 3 or (samples.ndim == 3 and samples.shape[2] > 4):
        raise UnsupportedPixels(f"its pixels are {samples.dtype} of shape {samples.shape}; save it as RGB or gray")
    return samples_to_image(samples, bits=bits)
