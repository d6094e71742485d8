import io
import os
import pickle
import time
import tracemalloc
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps, TiffImagePlugin

from cancernet_cli.data.readers import UnreadableImage, read_image
from tests.bad_folder import bomb, build_bad_folder, chunk, encoded, with_wrong_checksum
from tests.he_images import he_like

LIMIT = 10**8
RGB = he_like(0)
PICTURE = Image.fromarray(RGB)


def read(data: bytes, folder: Path, **options: int) -> np.ndarray:
    path = folder / "image.bin"
    path.write_bytes(data)
    pixels = read_image(os.fsencode(path), **{"max_pixels": LIMIT, **options})
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    return pixels


def failure(data: bytes, folder: Path, **options: int) -> tuple[str, str, str]:
    with pytest.raises(UnreadableImage) as caught:
        read(data, folder, **options)
    found = caught.value.failure
    return found.stage, found.error, found.message


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def on_white(picture: Image.Image) -> np.ndarray:
    front = picture.convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", front.size, "white"), front).convert("RGB"))


def with_alpha() -> Image.Image:
    picture = PICTURE.copy()
    picture.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 120).astype(np.uint8), (90, 1))))
    return picture


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", {"big_tiff": True}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_lossless_formats_keep_every_pixel(kind: str, options: dict[str, object], tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(saved(PICTURE, kind, **options), tmp_path), RGB)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_every_mode_reads_as_pillow_shows_it(kind: str, mode: str, tmp_path: Path) -> None:
    source = with_alpha() if "A" in mode else PICTURE
    try:
        data = saved(source.convert(mode), kind)
    except (OSError, ValueError):
        pytest.skip(f"{kind} has no {mode}")
    expected = on_white(Image.open(io.BytesIO(data)))
    difference = np.abs(read(data, tmp_path).astype(int) - expected)
    assert difference.max() <= (2 if kind == "JPEG" else 0)  # JPEG decoders may round differently


def test_a_palette_with_a_transparent_entry_lies_on_white(tmp_path: Path) -> None:
    picture = Image.new("P", (20, 20), 0)
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.paste(1, (10, 0, 20, 20))
    pixels = read(saved(picture, "PNG", transparency=0), tmp_path)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 19].tolist() == [200, 100, 50]


def test_rgb_png_with_a_transparent_colour_lies_on_white(tmp_path: Path) -> None:
    picture = Image.new("RGB", (20, 20), (1, 2, 3))
    picture.paste((9, 8, 7), (10, 0, 20, 20))
    pixels = read(saved(picture, "PNG", transparency=(1, 2, 3)), tmp_path)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 19].tolist() == [9, 8, 7]


SIXTEEN = np.random.default_rng(0).integers(0, 65536, (40, 50, 3)).astype(np.uint16)
EIGHT = np.rint(SIXTEEN / 65535 * 255).astype(np.uint8)


@pytest.mark.parametrize("encode", [imagecodecs.png_encode, imagecodecs.tiff_encode], ids=["png", "tiff"])
def test_16_bits_are_scaled_by_their_full_range(encode: object, tmp_path: Path) -> None:
    extra = {"photometric": "rgb"} if encode is imagecodecs.tiff_encode else {}
    np.testing.assert_array_equal(read(encode(SIXTEEN, **extra), tmp_path), EIGHT)  # type: ignore[operator]
    grey = read(encode(np.ascontiguousarray(SIXTEEN[..., 0])), tmp_path)  # type: ignore[operator]
    np.testing.assert_array_equal(grey, np.repeat(EIGHT[..., :1], 3, axis=2))


def test_16_bit_png_with_alpha_lies_on_white(tmp_path: Path) -> None:
    clear = np.concatenate([SIXTEEN, np.zeros((40, 50, 1), np.uint16)], axis=2)
    clear[0, 0, 3] = 65535
    pixels = read(imagecodecs.png_encode(clear), tmp_path)
    np.testing.assert_array_equal(pixels[0, 0], EIGHT[0, 0])
    assert (pixels[1:] == 255).all()
    opaque = np.concatenate([SIXTEEN, np.full((40, 50, 1), 65535, np.uint16)], axis=2)
    np.testing.assert_array_equal(read(imagecodecs.png_encode(opaque), tmp_path), EIGHT)


def test_16_bit_grey_tiff_where_white_is_zero(tmp_path: Path) -> None:
    data = imagecodecs.tiff_encode(np.ascontiguousarray(SIXTEEN[..., 0]), photometric="miniswhite")
    expected = np.rint((65535 - SIXTEEN[..., :1].astype(float)) / 65535 * 255).astype(np.uint8)
    np.testing.assert_array_equal(read(data, tmp_path), np.repeat(expected, 3, axis=2))


@pytest.mark.parametrize("compression", ["jpeg2000", "webp", "jpegxl"])
def test_a_tiff_in_a_compression_of_microscopes(
    compression: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = io.BytesIO()
    lossless = {"level": 100, "lossless": True} if compression != "jpeg2000" else {"reversible": True}
    tifffile.imwrite(file, RGB, photometric="rgb", compression=compression, compressionargs=lossless)
    np.testing.assert_array_equal(read(file.getvalue(), tmp_path), RGB)
    assert capfd.readouterr() == ("", "")


def test_a_tiff_of_16_bits_in_jpeg_2000(tmp_path: Path) -> None:
    file = io.BytesIO()
    lossless = {"reversible": True}
    tifffile.imwrite(file, SIXTEEN, photometric="rgb", compression="jpeg2000", compressionargs=lossless)
    np.testing.assert_array_equal(read(file.getvalue(), tmp_path), EIGHT)


def test_a_tiff_in_an_unknown_compression_says_so(tmp_path: Path) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, RGB, photometric="rgb")
    data = file.getvalue().replace(
        b"\x03\x01\x03\x00\x01\x00\x00\x00\x01\x00", b"\x03\x01\x03\x00\x01\x00\x00\x00\x39\x30"
    )
    stage, _, message = failure(data, tmp_path)
    assert stage == "decode"
    assert "12345" in message


@pytest.mark.parametrize("data", [b"BM", b"\xff\xd8\xff"])
def test_a_header_that_makes_no_sense_is_no_syntax_error(data: bytes, tmp_path: Path) -> None:
    assert failure(data, tmp_path)[:2] == ("check", "BadHeader")


def test_of_a_tiff_with_pages_the_first_is_read(tmp_path: Path) -> None:
    data = saved(PICTURE, "TIFF", save_all=True, append_images=[Image.new("RGB", (30, 30))])
    np.testing.assert_array_equal(read(data, tmp_path), RGB)


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path) -> None:
    data = saved(PICTURE, "WEBP", lossless=True, save_all=True, append_images=[Image.new("RGB", PICTURE.size)])
    np.testing.assert_array_equal(read(data, tmp_path), RGB)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGB"), ("PNG", "L"), ("TIFF", "RGB"), ("WEBP", "RGB")],
)
def test_exif_turns_the_image_upright(kind: str, mode: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    extra = {"lossless": True} if kind == "WEBP" else {}
    data = saved(PICTURE.convert(mode), kind, exif=exif, **extra)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    difference = np.abs(read(data, tmp_path).astype(int) - np.asarray(expected))
    assert difference.max() <= (2 if kind == "JPEG" else 0)


def test_a_16_bit_tiff_is_turned_upright(tmp_path: Path) -> None:
    data = saved(Image.fromarray(np.ascontiguousarray(SIXTEEN[..., 0])), "TIFF", tiffinfo={274: 6})
    np.testing.assert_array_equal(read(data, tmp_path)[..., 0], np.rot90(EIGHT[..., 0], -1))


def test_broken_exif_does_not_lose_the_image(tmp_path: Path) -> None:
    data = saved(PICTURE, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read(data, tmp_path).shape == RGB.shape


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_the_content_decides_not_the_ending(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(encoded(0, kind))
    assert read_image(os.fsencode(path), max_pixels=LIMIT).shape == (90, 120, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.98])
def test_a_truncated_file_fails(kind: str, kept: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = encoded(1, kind)
    stage, error, message = failure(data[: int(len(data) * kept)], tmp_path)
    assert stage in ("check", "decode")
    assert error
    assert message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_damage_never_raises_anything_else(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    whole = np.frombuffer(encoded(1, kind), np.uint8)
    failures = []
    for _ in range(60):
        data = whole.copy()
        places = random.integers(0, min(len(data), 400), 3)
        data[places] = random.integers(0, 256, 3)
        try:
            read(data.tobytes(), tmp_path, max_pixels=10**6)
        except UnreadableImage as error:
            failures.append(error.failure)
    assert {found.stage for found in failures} <= {"check", "decode"}
    assert not any("object at" in found.message for found in failures)  # an address would differ from run to run
    assert capfd.readouterr() == ("", "")


def test_an_empty_file(tmp_path: Path) -> None:
    assert failure(b"", tmp_path) == ("check", "EmptyFile", "the file is empty")


def test_text_is_no_image(tmp_path: Path) -> None:
    stage, error, message = failure(b"not an image", tmp_path)
    assert (stage, error) == ("check", "NotAnImage")
    assert message == (
        "its content is not AVIF, BMP, GIF, JPEG, JPEG2000, PNG, TIFF or WEBP (it starts with b'not an i')"
    )


def test_a_wrong_checksum(tmp_path: Path) -> None:
    stage, error, message = failure(with_wrong_checksum(encoded(1, "PNG")), tmp_path)
    assert (stage, error) == ("check", "ChecksumMismatch")
    assert message == "the checksum of chunk IDAT at byte 33 is wrong"


def test_a_png_without_its_end_marker(tmp_path: Path) -> None:
    data = encoded(1, "PNG").removesuffix(chunk(b"IEND", b""))
    stage, error, message = failure(data, tmp_path)
    assert (stage, error) == ("check", "TruncatedImage")
    assert message == f"the file ends after {len(data)} bytes, without the end marker IEND"


def test_bytes_after_the_end_are_no_damage(tmp_path: Path) -> None:
    for kind in ("PNG", "JPEG"):
        assert read(encoded(1, kind) + b"more", tmp_path).shape == (90, 120, 3)


def test_a_bomb_is_refused_without_unfolding_it(tmp_path: Path) -> None:
    data = bomb()
    assert len(data) < 150_000
    tracemalloc.start()
    start = time.perf_counter()
    stage, error, message = failure(data, tmp_path)
    assert time.perf_counter() - start < 0.5
    assert tracemalloc.get_traced_memory()[1] < 5 * len(data)
    tracemalloc.stop()
    assert (stage, error) == ("check", "TooManyPixels")
    assert message == "30000 x 30000 is 900.0 megapixels, more than 100; raise --max-megapixels to read it"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_pillows_own_limit_does_not_interfere(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(1, kind, mode="CMYK" if kind in ("JPEG", "TIFF") else "RGB")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read(data, tmp_path).shape == (90, 120, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_the_limits_hold_for_every_format(kind: str, tmp_path: Path) -> None:
    data = encoded(1, kind)
    assert read(data, tmp_path, max_pixels=120 * 90).shape == (90, 120, 3)
    assert failure(data, tmp_path, max_pixels=120 * 90 - 1)[1] == "TooManyPixels"
    assert read(encoded(1, kind, width_px=20, height_px=16), tmp_path).shape == (16, 20, 3)
    stage, error, message = failure(encoded(1, kind, width_px=20, height_px=15), tmp_path)
    assert (stage, error) == ("check", "TooFewPixels")
    assert message == "20 x 15, but each side must have at least 16 pixels"


def test_floating_point_tiff_is_refused_in_clear_words(tmp_path: Path) -> None:
    data = imagecodecs.tiff_encode(np.zeros((40, 50), np.float32))
    assert failure(data, tmp_path) == (
        "check",
        "UnsupportedPixels",
        "its pixels are 32-bit floating-point numbers without a defined color range; save it with 8 or 16 bits",
    )


def test_a_12_bit_tiff_uses_its_own_range(tmp_path: Path) -> None:
    # two pixels in three bytes: 0xFFF, 0x800, ...
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in {256: 16, 257: 16, 258: 12, 259: 1, 262: 1, 277: 1, 278: 16, 279: 384}.items():
        tags[tag] = value
    tags[273] = 0  # where the pixels begin, counted from the end of the directory
    data = b"II*\0\x08\0\0\0" + tags.tobytes(8) + b"\xff\xf8\x00" * 128
    pixels = read(data, tmp_path)
    assert pixels[0, :2, 0].tolist() == [255, round(0x800 / 0xFFF * 255)]


def test_what_cannot_be_had(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe.png"
    os.mkfifo(fifo)
    for path, error, message in (
        (tmp_path / "gone.png", "FileNotFoundError", "No such file or directory"),
        (tmp_path, "IsADirectoryError", "a folder, not a file"),
        (fifo, "OSError", "not a regular file"),
    ):
        with pytest.raises(UnreadableImage) as caught:
            read_image(os.fsencode(path), max_pixels=LIMIT)
        found = caught.value.failure
        assert (found.stage, found.error, found.message) == ("read", error, message)


def test_a_failure_travels_between_processes(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage) as caught:
        read(b"", tmp_path)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.failure == caught.value.failure
    assert str(again) == "check: EmptyFile: the file is empty"


def test_running_out_of_memory_is_the_files_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*args: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr("simplejpeg.decode_jpeg", greedy)
    assert failure(encoded(1, "JPEG"), tmp_path) == ("decode", "MemoryError", "not enough memory for its pixels")


def test_the_bad_folder_fails_where_it_should(tmp_path: Path) -> None:
    for name, status in build_bad_folder(tmp_path / "bad").items():
        if "\\x" in name:
            continue
        try:
            read_image(os.fsencode(tmp_path / "bad" / name), max_pixels=LIMIT)
            assert status == "ok", name
        except UnreadableImage:
            assert status == "failed", name


def test_real_images_match_pillow(real_data: Path) -> None:
    files = (
        sorted((real_data / "breakhis_png").rglob("*.png"))[:5] + sorted((real_data / "breakhis").rglob("*.jpg"))[:5]
    )
    for file in files:
        pixels = read_image(os.fsencode(file), max_pixels=LIMIT)
        assert np.abs(pixels.astype(int) - np.asarray(Image.open(file))).max() <= 2
