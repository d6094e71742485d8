"""What tiles claim about themselves is checked before they are decoded, and ExtraSamples decides about alpha."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cancernet_cli.data.slides import Slide, UnreadableSlide, open_slide
from tests.slide_files import levels_of, marked

PICTURE = marked(600, 400)


def opened(path: Path) -> Slide:
    return open_slide(os.fsencode(path))


@pytest.mark.parametrize(
    ("compression", "marker", "size"),
    [
        ("jpeg", b"\xff\xc0\x00\x11\x08", 4),
        ("jpeg2000", b"\xff\x51", 8),
        ("png", b"IHDR", 8),
        ("webp", b"VP8L", 4),
        ("jpegxr", None, 8),
    ],
)
def test_a_tile_that_claims_to_be_huge_is_refused_before_it_is_decoded(
    tmp_path: Path, compression: str, marker: bytes | None, size: int
) -> None:
    path = tmp_path / "s.tif"
    options = {"compressionargs": {"lossless": True}} if compression == "webp" else {}
    with tifffile.TiffWriter(path) as file:
        for i, level in enumerate((PICTURE, *levels_of(PICTURE, (2,)))):
            file.write(
                level, tile=(256, 256), photometric="rgb", compression=compression, subfiletype=min(i, 1), **options
            )
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        for page in (one.aspage() for one in file.pages):
            for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
                tile = bytes(data[start : start + count])
                if compression == "jpegxr":
                    at = start + tile.index(b"WMPHOTO\0") + 12
                    size = 4 if tile[tile.index(b"WMPHOTO\0") + 10] & 0x80 else 8
                else:
                    at = start + tile.index(marker) + {"jpeg": 5, "jpeg2000": 6, "png": 4, "webp": 9}[compression]
                data[at : at + size] = b"\x3f" * size
    path.write_bytes(data)
    begin = time.monotonic()
    with pytest.raises(UnreadableSlide) as caught:
        opened(path).read_level(0, 0, 0, 600, 400)
    assert time.monotonic() - begin < 5
    if compression != "jpeg":  # which OpenSlide reports
        assert "claims" in str(caught.value)


@pytest.mark.parametrize(("compression", "least"), [("lzw", 386), ("deflate", 1039)])
def test_a_strip_of_too_few_bytes_for_its_codec_is_refused_undecoded(
    tmp_path: Path, compression: str, least: int
) -> None:
    path = tmp_path / "s.btf"
    white = np.full((901, 400, 3), 255, np.uint8)  # a last strip of one row
    tifffile.imwrite(path, white, photometric="rgb", compression=compression, rowsperstrip=900, bigtiff=True)
    np.testing.assert_array_equal(opened(path).read_level(0, 0, 0, 400, 901), white)
    data = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        tag = file.pages.first.tags["StripByteCounts"]
        kind, at = {4: "<I", 16: "<Q", 3: "<H"}[tag.dtype], tag.valueoffset
    for size in (least - 1, least):
        path.write_bytes(data[:at] + struct.pack(kind, size) + data[at + struct.calcsize(kind) :])
        with pytest.raises(UnreadableSlide) as caught:
            opened(path).read_level(0, 0, 0, 9, 9)
        assert ("too few for 400 x 900 pixels" in str(caught.value)) == (size < least)


def with_alpha(path: Path, alpha: np.ndarray, kind: str | None, dtype: type = np.uint8) -> Slide:
    """A tiled pyramid of PICTURE with a fourth channel of a kind: `unassalpha`, `assocalpha`, `unspecified`."""
    with tifffile.TiffWriter(path) as file:
        for i, factor in enumerate((1, 2)):
            data = np.dstack([PICTURE, alpha])[::factor, ::factor].astype(dtype)
            data = data * 257 if dtype is np.uint16 else data
            file.write(data, tile=(128, 128), photometric="rgb", subfiletype=i, extrasamples=[kind], metadata=None)
    return opened(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_fourth_channel_that_is_not_alpha_changes_nothing(tmp_path: Path, dtype: type) -> None:
    for value in (0, 100, 255):
        slide = with_alpha(tmp_path / "s.tif", np.full((400, 600), value, np.uint8), "unspecified", dtype)
        np.testing.assert_array_equal(slide.read_level(0, 0, 0, 600, 400), PICTURE)
        assert slide.flags == ()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_an_alpha_of_0_everywhere_is_ignored_with_a_flag(tmp_path: Path, dtype: type, kind: str) -> None:
    slide = with_alpha(tmp_path / "s.tif", np.zeros((400, 600), np.uint8), kind, dtype)
    np.testing.assert_array_equal(slide.read_level(0, 0, 0, 600, 400), PICTURE)
    assert slide.flags == ("alpha_ignored",)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_premultiplied_and_straight_alpha_are_laid_on_white(tmp_path: Path, dtype: type) -> None:
    alpha = np.full((400, 600), 255, np.uint8)
    alpha[:, 300:] = 128
    alpha[:, 500:] = 0
    share = alpha[..., None] / 255
    straight = with_alpha(tmp_path / "s.tif", alpha, "unassalpha", dtype).read_level(0, 0, 0, 600, 400)
    assert np.abs(straight - (PICTURE * share + 255 * (1 - share))).max() <= 2
    half = np.minimum(PICTURE, alpha[..., None]).astype(float)
    slide = with_alpha(tmp_path / "p.tif", alpha, "assocalpha", dtype)
    found = slide.read_level(0, 0, 0, 600, 400)
    assert np.abs(found[:, :500] - (half + 255 * (1 - share))[:, :500]).max() <= 3
    assert (slide.read_level(0, 520, 0, 80, 400) == 255).all()  # a region of its own, fully transparent
