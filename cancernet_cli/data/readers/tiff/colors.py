"""From a TIFF's samples to RGB: photometric, extra samples, number of bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.data.readers.base import FlaggedPixels, UnsupportedPixels
from cancernet_cli.data.readers.pixels import alpha_of, samples_to_image, samples_to_rgb
from cancernet_cli.data.readers.tiff.directories import (
    BITS,
    COLOR_MAP,
    EXTRA_SAMPLES,
    MAX_SAMPLE,
    PHOTOMETRIC,
    SAMPLES,
    Directory,
)

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
_NAMES = {4: "mask", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "color filter array", 32844: "LogL", 34892: "raw"}
_COLORS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}


def photometric(page: Directory) -> int:
    """How samples are to be read; without the tag, RGB from three samples on, otherwise gray.

    Three gray samples without alpha are three channels, and read as RGB.
    """
    samples = page.number(SAMPLES, 1)
    stated = page.number(PHOTOMETRIC, RGB if samples >= 3 else BLACK_IS_ZERO)
    is_three = samples == 3 and alpha_of(page.numbers(EXTRA_SAMPLES))[0] is None
    return RGB if stated == BLACK_IS_ZERO and is_three else stated


def to_rgb(samples: NDArray[Any], page: Directory) -> FlaggedPixels:
    """The colors of a page's samples.

    Args:
        samples: `[H, W]` or `[H, W, S]` uint8 or uint16 in the page's own number of bits.

    Raises:
        UnsupportedPixels: they are no colors.
    """
    kind = photometric(page)
    samples = samples[..., None] if samples.ndim == 2 else samples
    many = samples.shape[2]
    if kind not in _COLORS or many < _COLORS[kind]:
        raise UnsupportedPixels(f"{_channels(many)} of photometric {_NAMES.get(kind, kind)}; save it as RGB or gray")
    colors = _COLORS[kind]
    extra, alpha = alpha_of(page.numbers(EXTRA_SAMPLES))
    if kind in (WHITE_IS_ZERO, BLACK_IS_ZERO) and many > 2 and extra is None:
        raise UnsupportedPixels(f"{_channels(many)}, not red, green and blue; save it as RGB")
    bits = _bits(page, samples)
    shown = samples[..., :colors]
    if kind == WHITE_IS_ZERO:
        shown = np.asarray(2 ** page.number(BITS, 1) - 1 - shown, samples.dtype)
    if kind == PALETTE:
        return FlaggedPixels(_by_palette(shown[..., 0], page))
    if kind == CMYK:
        eight = np.dstack([samples_to_rgb(shown[..., c], bits=bits)[..., 0] for c in range(4)])
        return FlaggedPixels(np.asarray(Image.fromarray(eight, "CMYK").convert("RGB")))
    if extra is None or colors + extra >= many:
        return samples_to_image(np.ascontiguousarray(shown), bits=bits, alpha="none")
    return samples_to_image(np.dstack([shown, samples[..., colors + extra]]), bits=bits, alpha=alpha)


def scaled_bits(page: Directory) -> int:
    """The number of bits of a sample's full range, by MaxSampleValue where the page has it (12 bits stored in 16)."""
    bits = max(page.numbers(BITS, (1,)))
    top = max(page.numbers(MAX_SAMPLE, (0,)))
    return max(8, top.bit_length()) if bits > 8 and 0 < top < 2**bits else bits


def _bits(page: Directory, samples: NDArray[Any]) -> int:
    """The same, unless a sample exceeds the value in the tag."""
    bits, stored = scaled_bits(page), max(page.numbers(BITS, (1,)))
    return bits if bits == stored or int(samples.max(initial=0)) < 2**bits else stored


def _by_palette(indices: NDArray[Any], page: Directory) -> Pixels:
    colors = np.array(page.numbers(COLOR_MAP), np.uint16)
    if colors.size != 3 * 2 ** page.number(BITS, 1):
        raise UnsupportedPixels("its color map does not fit its number of bits; save it as RGB")
    shift = 8 if colors.max(initial=0) > 255 else 0  # some programs write 8 bits
    return np.asarray((colors.reshape(3, -1) >> shift).astype(np.uint8).T[indices])


def _channels(many: int) -> str:
    return f"{many} channel{'s' if many != 1 else ''}"
