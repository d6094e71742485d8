"""Metadata never costs an image its pixels."""

import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from tests.bad_folder import chunk
from tests.data.readers.drawn import RGB, failure, read, saved

BROKEN = [
    b"",
    b"II*\0\x08",
    b"II*\0\x08\0\0\0\x02",
    b"II*\0\xff\xff\xff\xff",
    bytes(range(64)),
    b"MM\0*" + b"\xff" * 40,
]
PICTURES = {
    "L": RGB[..., 0],
    "LA": np.dstack([RGB[..., 0], np.full(RGB.shape[:2], 255, np.uint8)]),
    "RGB": RGB,
    "RGBA": np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)]),
}


@pytest.mark.parametrize("exif", BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_broken_exif(kind: str, exif: bytes, tmp_path: Path) -> None:
    plain = read(saved(RGB, kind, quality=90), tmp_path)
    prefix = b"Exif\0\0" if kind == "JPEG" else b""
    try:
        data = saved(RGB, kind, quality=90, exif=prefix + exif)
    except Exception:
        pytest.skip("Pillow does not write it")
    np.testing.assert_array_equal(read(data, tmp_path).pixels, plain.pixels)


def test_broken_exif_of_a_cmyk_jpeg(tmp_path: Path) -> None:
    cmyk = Image.fromarray(RGB).convert("CMYK")
    data = saved(np.asarray(cmyk)[..., :3], "JPEG", exif=b"Exif\0\0MM\0*\0")
    assert read(data, tmp_path).pixels.shape == RGB.shape


def texts() -> dict[str, bytes]:
    """Chunks of more than a megabyte, or broken ones."""
    long = zlib.compress(bytes(1_200_000))
    return {
        "zTXt": chunk(b"zTXt", b"Comment\0\0" + long),
        "iTXt": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + long),
        "tEXt": chunk(b"tEXt", b"Comment\0" + b"x" * 2_000_000),
        "iCCP": chunk(b"iCCP", b"profile\0\0" + long),
        "junk": chunk(b"iCCP", b"profile\0\0junk"),
        "pHYs": chunk(b"pHYs", b"x"),
    }


@pytest.mark.parametrize("name", list(texts()))
def test_long_text_and_profiles_of_a_png(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    more = texts()[name]
    for pixels in PICTURES.values():
        data = saved(pixels, "PNG")
        expected = read(data, tmp_path).pixels
        np.testing.assert_array_equal(read(data[:33] + more + data[33:], tmp_path).pixels, expected)
    sixteen = imagecodecs.png_encode(RGB.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read(sixteen[:33] + more + sixteen[33:], tmp_path).pixels, RGB)
    assert capfd.readouterr() == ("", "")


def test_apples_variant_of_png_is_named(tmp_path: Path) -> None:
    data = saved(RGB, "PNG")
    data = data[:8] + chunk(b"CgBI", b"P\0 \6") + data[8:]
    assert failure(data, tmp_path) == (
        "UnsupportedPixels",
        "it is Apple's own variant of PNG (CgBI), which other programs cannot read; save it as PNG",
    )
