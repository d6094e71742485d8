"""Convert decoded images (gray, alpha, CMYK, 16 bits, rotated) to upright 8-bit RGB."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from cancernet_cli.core.arrays import Pixels

TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height

_lock = threading.Lock()


@contextmanager
def pillow_limit_lifted() -> Iterator[None]:
    """Disable Pillow's decompression-bomb error, for files within our own limit.

    Pillow checks a global limit while it loads TIFF and WebP. It is restored at once, for other users of Pillow in the
    process, and only one thread at a time disables it.
    """
    with _lock:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def pillow_to_rgb(image: Image.Image) -> Pixels:
    """The pixels of a Pillow image, upright, composited on white: `[H, W, 3]` uint8.

    `I;16` is scaled by its full range; Pillow's own conversion to 8 bits would clip it.
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
    """Convert gray, gray with alpha, RGB or RGBA of up to 16 bits to 8-bit RGB.

    Args:
        samples: `[H, W]` or `[H, W, 1 to 4]`, 0 to `2 ** bits - 1`.

    Returns:
        `[H, W, 3]` uint8: the full range of `bits` scaled to 0..255, rounded.
    """
    top = 2**bits - 1
    scaled = ((np.arange(top + 1, dtype=np.uint32) * 255 + top // 2) // top).astype(np.uint8)
    eight = scaled[np.minimum(samples, top)]
    return pillow_to_rgb(Image.fromarray(eight[..., 0] if eight.shape[2:] == (1,) else eight))


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Apply an EXIF orientation, 1 to 8; other values change nothing."""
    if orientation in TURNED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def exif_orientation(block: bytes) -> int:
    """The orientation in an EXIF block; 1 if it has none or is invalid."""
    exif = Image.Exif()
    try:
        exif.load(block)
        return int(exif.get(ExifTags.Base.Orientation, 1))
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, IndexError):
        return 1  # an image with invalid metadata is still readable
