"""What a reader had to decide is said in a flag."""

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from cancernet_cli.data.readers import read_shrunk
from tests.bad_folder import chunk
from tests.data.readers.drawn import CLEAR, RGB, failure, read, saved

JPEG = simplejpeg.encode_jpeg(RGB, quality=95)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})])
def test_an_alpha_of_0_everywhere_is_ignored(kind: str, options: dict[str, object], tmp_path: Path) -> None:
    pixels, flags = read(saved(CLEAR, kind, **options), tmp_path)
    np.testing.assert_array_equal(pixels, RGB)
    assert flags == ("alpha_ignored",)


def test_an_alpha_of_0_everywhere_in_16_bits_gray_and_palettes(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(imagecodecs.png_encode(CLEAR.astype(np.uint16) * 257), tmp_path).pixels, RGB)
    gray = read(saved(CLEAR[..., [0, 3]], "PNG"), tmp_path)
    np.testing.assert_array_equal(gray.pixels[..., 1], RGB[..., 0])
    assert gray.flags == ("alpha_ignored",)
    file = io.BytesIO()
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.save(file, "PNG", transparency=bytes(2))
    assert read(file.getvalue(), tmp_path).flags == ("alpha_ignored",)


def test_one_visible_pixel_makes_it_an_alpha(tmp_path: Path) -> None:
    almost = CLEAR.copy()
    almost[0, 0, 3] = 1
    pixels, flags = read(saved(almost, "PNG"), tmp_path)
    assert (pixels[1:] == 255).all()
    assert flags == ()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_the_first_frame_of_an_animation(kind: str, tmp_path: Path) -> None:
    more = [Image.fromarray(255 - RGB), Image.fromarray(RGB[::-1].copy())]
    pixels, flags = read(saved(RGB, kind, save_all=True, append_images=more), tmp_path)
    assert flags == ("first_of_several_pages",)
    assert np.abs(pixels.astype(int) - RGB).mean() < 15
    assert read(saved(RGB, kind), tmp_path).flags == ()


@pytest.mark.parametrize("stray", [b"\1" * 40, bytes(200), b"\x11\x22\x33\x44\x55\x66\x77\x88" * 20])
def test_stray_bytes_before_the_end_of_a_jpeg(stray: bytes, tmp_path: Path) -> None:
    pixels, flags = read(JPEG[:-2] + stray + JPEG[-2:], tmp_path)
    np.testing.assert_array_equal(pixels, read(JPEG, tmp_path).pixels)
    assert flags == ("damaged",)
    assert read(JPEG, tmp_path).flags == ()


def test_stray_bytes_in_a_jpeg_that_is_shrunk(tmp_path: Path) -> None:
    for data, flags in ((JPEG, ()), (JPEG[:-2] + b"\1" * 40 + JPEG[-2:], ("damaged",))):
        path = tmp_path / "image.jpg"
        path.write_bytes(data)
        shrunk = read_shrunk(bytes(path), lambda width, height: (8, 8), max_pixels=10**6)
        assert shrunk.pixels.shape == (RGB.shape[0] // 4, RGB.shape[1] // 4, 3)
        assert shrunk.flags == flags


def test_a_jpeg_without_its_end_marker(tmp_path: Path) -> None:
    pixels, flags = read(JPEG[:-2], tmp_path)
    np.testing.assert_array_equal(pixels, read(JPEG, tmp_path).pixels)
    assert flags == ("damaged",)


@pytest.mark.parametrize("data", [JPEG[:-40], JPEG[:-40] + b"\xff\xd9", JPEG[:-200] + b"\xff\xd9" + JPEG[-200:]])
def test_lost_pixels_are_no_small_damage(data: bytes, tmp_path: Path) -> None:
    assert failure(data, tmp_path)[0] == "ValueError"


def test_scans_of_a_progressive_jpeg_are_limited(tmp_path: Path) -> None:
    data = saved(RGB, "JPEG", progressive=True)
    assert read(data, tmp_path).flags == ()
    start = data.index(b"\xff\xda")
    end = data.index(b"\xff\xc4", start)
    assert failure(data[:start] + data[start:end] * 120 + data[end:], tmp_path)[0] == "TooManyScans"


def test_png_frames_of_one_are_no_animation(tmp_path: Path) -> None:
    data = saved(RGB, "PNG")
    assert read(data[:33] + chunk(b"acTL", b"\0\0\0\1\0\0\0\0") + data[33:], tmp_path).flags == ()
