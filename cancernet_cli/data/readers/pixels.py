"""From what decoders give (grey, alpha, CMYK, 16 bits, lying on its side) to upright 8-bit RGB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.data.readers.pillow_limit import pillow_limit_lifted

TURNED = (5, 6, 7, 8)  # EXIF orientations of images that lie on their side


def pillow_to_rgb(image: Image.Image) -> Pixels:
    """A Pillow image, upright, its transparency laid on white.

    `I;16` keeps all its bits; Pillow's own conversion to 8 would clip it.
    """
    with pillow_limit_lifted():
        image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return samples_to_rgb(np.asarray(image).astype(np.uint16))
    if image.has_transparency_data:
        front = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", front.size, "white"), front)
    return np.asarray(image.convert("RGB"))


def samples_to_rgb(samples: NDArray[np.uint16], *, bits: int = 16) -> Pixels:
    """Grey, grey with alpha, RGB or RGBA of up to 16 bits.

    Args:
        samples: `[H, W]` or `[H, W, 1 to 4]`, 0 to `2 ** bits - 1`.

    Returns:
        `[H, W, 3]` uint8: the full range of `bits` becomes 0 to 255, rounded.
    """
    top = 2**bits - 1
    scaled = ((np.arange(top + 1, dtype=np.uint32) * 255 + top // 2) // top).astype(np.uint8)
    eight = scaled[np.minimum(samples, top)]
    return pillow_to_rgb(Image.fromarray(eight[..., 0] if eight.shape[2:] == (1,) else eight))


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Pixels turned as EXIF's orientation (1 to 8) asks; anything else leaves them as they are."""
    if orientation in TURNED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def exif_orientation(block: bytes) -> int:
    """The orientation in an EXIF block, 1 where there is none or the block makes no sense."""
    exif = Image.Exif()
    try:
        exif.load(block)
        return int(exif.get(ExifTags.Base.Orientation, 1))
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, IndexError):
        return 1  # a broken remark about an image is no reason to lose it
