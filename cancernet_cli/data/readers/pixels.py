"""Convert decoded images (gray, alpha, CMYK, 16 bits, rotated) to upright 8-bit RGB."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.data.readers.base import ALPHA_IGNORED, FIRST_OF_SEVERAL, FlaggedPixels

Alpha = Literal["none", "premultiplied", "straight"]
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


def pillow_to_rgb(image: Image.Image, *, has_alpha: bool = True) -> FlaggedPixels:
    """The pixels of a Pillow image, upright, composited on white; an alpha of 0 everywhere is ignored.

    `I;16` is scaled by its full range; Pillow's own conversion to 8 bits would clip it.

    Args:
        has_alpha: whether a fourth channel is alpha; one that is not is dropped.
    """
    with pillow_limit_lifted():
        image.load()
    orientation = _orientation(image)
    if image.mode.startswith("I;16"):
        found = samples_to_image(np.asarray(image).astype(np.uint16))
    else:
        found = _flattened(image, has_alpha)
    return found if orientation == 1 else found._replace(pixels=upright(found.pixels, orientation))


def first_frame(image: Image.Image) -> FlaggedPixels:
    """The first frame of a Pillow image, flagged if there are more."""
    pixels, flags = pillow_to_rgb(image)
    return FlaggedPixels(pixels, (*flags, FIRST_OF_SEVERAL) if getattr(image, "is_animated", False) else flags)


def _flattened(image: Image.Image, has_alpha: bool) -> FlaggedPixels:
    flags: tuple[str, ...] = ()
    if has_alpha and image.has_transparency_data:
        front = image.convert("RGBA")
        if front.getchannel("A").getextrema()[1]:
            image = Image.alpha_composite(Image.new("RGBA", front.size, "white"), front)
        else:
            image, flags = front, (ALPHA_IGNORED,)
    return FlaggedPixels(np.asarray(image.convert("RGB")), flags)


def samples_to_rgb(
    samples: NDArray[np.uint8] | NDArray[np.uint16], *, bits: int = 16, alpha: Alpha = "straight"
) -> Pixels:
    """Convert gray, gray with alpha, RGB or RGBA of up to 16 bits to 8-bit RGB, composited on white.

    Args:
        samples: `[H, W]` or `[H, W, 1 to 4]`, 0 to `2 ** bits - 1`.
        alpha: what a second or fourth channel is (see `alpha_of`).

    Returns:
        `[H, W, 3]` uint8: the full range of `bits` scaled to 0..255, rounded.
    """
    eight = _to_8_bits(samples, bits)
    channels = eight.shape[2] if eight.ndim == 3 else 1
    if channels in (2, 4) and alpha == "none":
        eight, channels = eight[..., :-1], channels - 1
    if channels in (2, 4) and alpha == "premultiplied":
        colors = eight if channels == 4 else eight[..., [0, 0, 0, 1]]
        return _flattened(_premultiplied(colors), has_alpha=True).pixels
    image = Image.fromarray(np.ascontiguousarray(eight[..., 0] if eight.shape[2:] == (1,) else eight))
    if channels in (2, 4):
        front = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", front.size, "white"), front)
    return np.asarray(image.convert("RGB"))


def samples_to_image(
    samples: NDArray[np.uint8] | NDArray[np.uint16], *, bits: int = 16, alpha: Alpha = "straight"
) -> FlaggedPixels:
    """The same for a whole image: an alpha of 0 everywhere is ignored, with a flag."""
    is_clear = alpha != "none" and samples.ndim == 3 and samples.shape[2] in (2, 4) and not samples[..., -1].any()
    pixels = samples_to_rgb(samples, bits=bits, alpha="none" if is_clear else alpha)
    return FlaggedPixels(pixels, (ALPHA_IGNORED,) if is_clear else ())


def alpha_of(extra_samples: Sequence[int]) -> tuple[int | None, Alpha]:
    """Which of a TIFF's extra samples is alpha, and of which kind, by the values of its tag ExtraSamples.

    TIFF 6.0, section 18: 1 is premultiplied ("associated") alpha, 2 straight ("unassociated") alpha. Anything else is
    no alpha, and so is a sample that the tag does not list.
    """
    for index, kind in enumerate(extra_samples):
        if kind in (1, 2):
            return index, "premultiplied" if kind == 1 else "straight"
    return None, "none"


def _to_8_bits(samples: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    if bits == 8 and samples.dtype == np.uint8:
        return samples
    top = 2**bits - 1
    scaled = ((np.arange(top + 1, dtype=np.uint32) * 255 + top // 2) // top).astype(np.uint8)
    return np.asarray(scaled[np.minimum(samples, top)], np.uint8)


def _premultiplied(samples: NDArray[np.uint8]) -> Image.Image:
    """Premultiplied RGBA as straight RGBA, rounded as in Pillow's reading of 8-bit TIFFs."""
    size = samples.shape[1], samples.shape[0]
    return Image.frombytes("RGBA", size, np.ascontiguousarray(samples).tobytes(), "raw", "RGBa")


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
    except Exception:  # whatever is wrong with the metadata, the pixels are readable
        return 1


def _orientation(image: Image.Image) -> int:
    """The orientation in the EXIF or XMP of an image that Pillow opened; 1 if it has none or is invalid."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1
