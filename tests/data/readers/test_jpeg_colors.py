"""Which colors a JPEG holds, as its markers tell."""

from __future__ import annotations

import re

import imagecodecs
import numpy as np
import pytest
import simplejpeg

from cancernet_cli.data.readers.jpeg_colors import jpeg_colors
from tests.he_images import he_like

PICTURE = he_like(0, 48, 32)
ADOBE_RGB = bytes(imagecodecs.jpeg8_encode(PICTURE, colorspace="RGB", outcolorspace="RGB"))
JFIF = simplejpeg.encode_jpeg(PICTURE, colorsubsampling="444")


def without_markers(data: bytes) -> bytes:
    """The same without application markers."""
    return re.sub(rb"^\xff\xd8(\xff\xe0..JFIF\0.{9}|\xff\xee..Adobe.{7})+", b"\xff\xd8", data, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (JFIF, "YCBCR"),
        (ADOBE_RGB, "RGB"),
        (simplejpeg.encode_jpeg(PICTURE, colorsubsampling="420"), "YCBCR"),
        (without_markers(simplejpeg.encode_jpeg(PICTURE, colorsubsampling="420")), "YCBCR"),
        (without_markers(JFIF), None),
        (simplejpeg.encode_jpeg(np.ascontiguousarray(PICTURE[..., :1]), colorspace="GRAY"), None),
        (b"\xff\xd8\xff\xe0", None),
        (b"", None),
    ],
    ids=["JFIF", "Adobe", "subsampled", "subsampled without markers", "without markers", "gray", "cut off", "empty"],
)
def test_the_markers_tell(data: bytes, expected: str | None) -> None:
    assert jpeg_colors(data) == expected


def test_components_named_r_g_b_are_rgb() -> None:
    frame = bytearray(without_markers(ADOBE_RGB))
    start = bytes(frame).index(b"\xff\xc0") + 10
    frame[start : start + 9 : 3] = b"RGB"
    assert jpeg_colors(bytes(frame)) == "RGB"
    frame[start : start + 9 : 3] = bytes([1, 2, 3])
    assert jpeg_colors(bytes(frame)) is None
