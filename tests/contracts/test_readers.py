"""What every image reader promises."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cancernet_cli.core.records import Failure
from cancernet_cli.data.readers import UnreadableImage, read_image, read_shrunk
from cancernet_cli.data.readers.base import readers
from cancernet_cli.data.signatures import has_signature
from tests.he_images import he_like

LOSSY = {"avif", "gif", "jpeg"}
WITH_EXIF = {"jpeg", "png", "tiff", "webp"}
ORIENTATION = 0x0112  # EXIF tag
NAMES = readers.names()


def content(name: str, width_px: int, height_px: int, **options: object) -> bytes:
    """An image in the format of an entry, as Pillow writes it."""
    file = io.BytesIO()
    kind = Image.registered_extensions()[readers[name].facts["endings"][0]]
    options = {"lossless": True} | options if name == "webp" else options
    Image.fromarray(he_like(0, width_px, height_px)).save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()


def written(folder: Path, data: bytes) -> bytes:
    path = folder / "image.bin"
    path.write_bytes(data)
    return os.fsencode(path)


def read(folder: Path, data: bytes) -> NDArray[np.uint8]:
    return read_image(written(folder, data), max_pixels=10**8)


def failure(folder: Path, data: bytes, **limits: int) -> Failure:
    with pytest.raises(UnreadableImage) as caught:
        read_image(written(folder, data), **({"max_pixels": 10**8} | limits))
    return caught.value.failure


@pytest.mark.parametrize("name", NAMES)
class TestReader:
    @pytest.mark.parametrize(("width_px", "height_px"), [(64, 48), (16, 16), (17, 33), (101, 47)])
    def test_pixels_are_rgb_bytes_of_the_size_in_the_header(
        self, name: str, width_px: int, height_px: int, tmp_path: Path
    ) -> None:
        data = content(name, width_px, height_px)
        opened = readers[name].factory(data)
        assert (opened.width_px, opened.height_px) == (width_px, height_px)
        pixels = read(tmp_path, data)
        assert pixels.shape == (height_px, width_px, 3)
        assert pixels.dtype == np.uint8
        difference = np.abs(pixels.astype(int) - he_like(0, width_px, height_px))
        assert difference.mean() < 8 if name in LOSSY else not difference.any()

    def test_the_reduced_size_is_at_least_what_is_needed(self, name: str, tmp_path: Path) -> None:
        shrunk = read_shrunk(written(tmp_path, content(name, 128, 64)), lambda w, h: (w // 4, h // 4), max_pixels=10**8)
        assert (shrunk.width_px, shrunk.height_px) == (128, 64)
        assert shrunk.pixels.dtype == np.uint8
        assert shrunk.pixels.shape[0] >= 16
        assert shrunk.pixels.shape[1] >= 32

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_the_exif_orientation_is_applied(self, name: str, orientation: int, tmp_path: Path) -> None:
        if name not in WITH_EXIF:
            pytest.skip("the format has no EXIF")
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        plain, turned = (read(tmp_path, content(name, 60, 40, **more)) for more in ({}, {"exif": exif}))
        transposed = {5, 6, 7, 8}
        expected = plain.swapaxes(0, 1) if orientation in transposed else plain
        if orientation in (2, 3, 6, 7):
            expected = expected[:, ::-1]
        if orientation in (3, 4, 7, 8):
            expected = expected[::-1]
        np.testing.assert_array_equal(turned, expected)

    @pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.98])
    def test_a_truncated_file_fails_with_a_reason(self, name: str, kept: float, tmp_path: Path) -> None:
        data = content(name, 300, 200)
        found = failure(tmp_path, data[: int(len(data) * kept)])
        assert found.stage in ("check", "decode")
        assert found.error
        assert found.message

    def test_another_signature_is_not_an_image(self, name: str, tmp_path: Path) -> None:
        data = b"\0nonsense\0" + content(name, 60, 40)[10:]
        found = failure(tmp_path, data)
        assert (found.stage, found.error) == ("check", "NotAnImage")
        assert name.upper() in found.message

    def test_limits_on_pixels_hold(self, name: str, tmp_path: Path) -> None:
        data = content(name, 120, 90)
        assert failure(tmp_path, data, max_pixels=120 * 90 - 1).error == "TooManyPixels"
        assert failure(tmp_path, content(name, 120, 15)).error == "TooFewPixels"

    def test_signatures_are_its_own_and_endings_are_lower_case(self, name: str) -> None:
        head = content(name, 60, 40)[:64]
        assert [entry.name for entry in readers if has_signature(head, entry.facts["signatures"])] == [name]
        endings = readers[name].facts["endings"]
        assert endings
        assert all(ending.startswith(".") and ending == ending.lower() for ending in endings)
