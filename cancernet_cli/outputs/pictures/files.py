"""Write pixels as PNG or JPEG."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from cancernet_cli.core.arrays import F32, Pixels
from cancernet_cli.core.files import write_bytes

JPEG_QUALITY = 90


def write_png(image: Pixels, path: Path) -> None:
    """Write `[H, W]` gray or `[H, W, 3]` RGB pixels as 8-bit PNG.

    Raises:
        OutputError: The file cannot be written.
    """
    write_bytes(path, png_bytes(image), durable=False)


def png_bytes(image: Pixels) -> bytes:
    """`[H, W]` gray or `[H, W, 3]` RGB pixels as the content of an 8-bit PNG file."""
    return _encoded(image, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 6])


def write_jpeg(image: Pixels, path: Path) -> None:
    """Write `[H, W]` gray or `[H, W, 3]` RGB pixels as JPEG without chroma subsampling.

    Raises:
        OutputError: The file cannot be written.
    """
    # Subsampling fades thin lines
    full_colour = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    parameters = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, *full_colour]
    write_bytes(path, _encoded(image, ".jpg", parameters), durable=False)


def write_mask(mask: F32, path: Path) -> None:
    """Write a mask `[H, W]`, 0 to 1, as 8-bit gray PNG, 0 to 255.

    Raises:
        OutputError: The file cannot be written.
    """
    write_png(np.rint(np.clip(mask, 0, 1) * 255).astype(np.uint8), path)


def _encoded(image: Pixels, ending: str, parameters: list[int]) -> bytes:
    """Encoded in memory and written with Python, since cv2.imwrite cannot open every valid file name."""
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    encoded, content = cv2.imencode(ending, pixels, parameters)
    if not encoded:
        raise ValueError(f"cannot encode an array of shape {image.shape} and type {image.dtype} as {ending}")
    return content.tobytes()
