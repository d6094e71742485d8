"""Images drawn for the tests of readers, and how they are read."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cancernet_cli.data.readers import FlaggedPixels, UnreadableImage, read_flagged
from tests.he_images import he_like

RGB = he_like(0, 64, 48)
CLEAR = np.dstack([RGB, np.zeros(RGB.shape[:2], np.uint8)])


def read(data: bytes, folder: Path, *, max_pixels: int = 10**8) -> FlaggedPixels:
    path = folder / "image.bin"
    path.write_bytes(data)
    return read_flagged(os.fsencode(path), max_pixels=max_pixels)


def failure(data: bytes, folder: Path, *, max_pixels: int = 10**8) -> tuple[str, str]:
    """Class and message of the reason why a file cannot be read."""
    with pytest.raises(UnreadableImage) as caught:
        read(data, folder, max_pixels=max_pixels)
    return caught.value.failure.error, caught.value.failure.message


def saved(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()
