"""JPEG strips and tiles in a TIFF that are cut or damaged are no picture, as a JPEG file of that kind is none."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import tifffile

from cancernet_cli.data.readers.base import DAMAGED
from tests.data.readers.drawn import failure, read
from tests.he_images import he_like

PICTURE = he_like(0, 128, 96)
LAYOUTS = {
    "one strip": {"rowsperstrip": 96},
    "strips": {"rowsperstrip": 16},
    "tiles": {"tile": (32, 32)},
    "YCbCr": {"rowsperstrip": 32, "photometric": "ycbcr", "subsampling": (2, 2)},
}


def with_last(layout: str, change: str) -> bytes:
    """A TIFF whose last strip or tile is cut after two thirds of its bytes, or damaged."""
    file = io.BytesIO()
    tifffile.imwrite(
        file, PICTURE, **({"photometric": "rgb", "compression": "jpeg", "metadata": None} | LAYOUTS[layout])
    )  # type: ignore[arg-type]
    data = bytearray(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        page = opened.pages.first
        start, count = page.dataoffsets[-1], page.databytecounts[-1]
        tag = page.tags["TileByteCounts" if page.is_tiled else "StripByteCounts"]
        kept = count * 2 // 3
        if change == "shorter":
            size = struct.calcsize("<H" if tag.dtype == 3 else "<I")
            struct.pack_into("<H" if tag.dtype == 3 else "<I", data, tag.valueoffset + (tag.count - 1) * size, kept)
        elif change == "zeros":
            data[start + kept : start + count] = bytes(count - kept)
        elif change == "ended":
            data[start + kept : start + count] = b"\xff\xd9" + bytes(count - kept - 2)
        elif change == "without its end":
            data[start + count - 2 : start + count] = b"\0\0"
    return bytes(data)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("change", ["shorter", "zeros", "ended"])
def test_what_is_cut_fails_with_the_reason_of_a_jpeg_file(layout: str, change: str, tmp_path: Path) -> None:
    error, words = failure(with_last(layout, change), tmp_path)
    assert error == "ValueError"
    assert "Premature" in words or "Corrupt" in words or "premature" in words


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_whole_is_read_as_ever_and_a_missing_end_is_flagged(layout: str, tmp_path: Path) -> None:
    pixels, flags = read(with_last(layout, "nothing"), tmp_path)
    assert flags == ()
    if layout != "YCbCr":  # which tifffile writes without converting it
        assert np.abs(pixels.astype(int) - PICTURE).mean() < 6
    again, flags = read(with_last(layout, "without its end"), tmp_path)
    assert flags == (DAMAGED,)
    np.testing.assert_array_equal(again, pixels)


def test_a_gray_strip_is_checked_too(tmp_path: Path) -> None:
    file = io.BytesIO()
    gray = np.ascontiguousarray(PICTURE[..., 1])
    tifffile.imwrite(file, gray, compression="jpeg", metadata=None, rowsperstrip=96)
    data = file.getvalue()
    assert read(data, tmp_path)[1] == ()
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        start, count = opened.pages.first.dataoffsets[0], opened.pages.first.databytecounts[0]
    cut = data[: start + count // 2] + bytes(count - count // 2) + data[start + count :]
    assert failure(cut, tmp_path)[0] == "ValueError"


def test_a_plain_jpeg_has_the_same_reason(tmp_path: Path) -> None:
    data = simplejpeg.encode_jpeg(PICTURE)
    assert failure(data[: len(data) * 2 // 3], tmp_path)[0] == "ValueError"
