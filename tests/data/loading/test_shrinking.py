"""JPEGs decoded at a fraction of their size: when, and that views and sizes stay those of the whole image."""

from __future__ import annotations

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.images import BatchDecoder, DecodedImage
from cancernet_cli.data.loading.views import scaled_size
from cancernet_cli.data.readers import UnreadableImage, read_image, read_shrunk
from tests.he_images import he_like

RESIZE = InputPolicy(view="resize", width_px=32, height_px=32)
GRID = InputPolicy(view="grid", width_px=64, height_px=48, scale=0.5)
MAX_PIXELS = 10**6


def write_jpeg(path: Path, width_px: int, height_px: int, *, orientation: int = 1, **how: object) -> FoundFile:
    smooth = cv2.GaussianBlur(he_like(0, width_px, height_px), (0, 0), 4)  # so that ways to shrink agree
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(smooth).save(path, quality=95, exif=exif.tobytes(), **how)
    return FoundFile(path.name, os.fsencode(path), path.stat().st_size, 1)


@pytest.mark.parametrize(
    ("least", "shape"),
    [
        ((300, 200), (200, 304, 3)),  # no half is large enough: the whole
        ((152, 100), (100, 152, 3)),
        ((77, 51), (100, 152, 3)),
        ((76, 50), (50, 76, 3)),
        ((38, 25), (25, 38, 3)),
        ((1, 1), (25, 38, 3)),  # an eighth is the least
        ((38, 26), (50, 76, 3)),  # the side that needs more decides
    ],
)
def test_the_least_fraction_that_has_the_pixels(tmp_path: Path, least: tuple[int, int], shape: tuple[int, ...]) -> None:
    file = write_jpeg(tmp_path / "a.jpg", 304, 200)
    found = read_shrunk(file.location, lambda width, height: least, max_pixels=MAX_PIXELS)
    assert found.pixels.shape == shape
    assert (found.width_px, found.height_px) == (304, 200)
    whole = read_image(file.location, max_pixels=MAX_PIXELS)
    like = cv2.resize(whole, shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(found.pixels.astype(int) - like).mean() < 2


@pytest.mark.parametrize(
    ("size", "shape"), [((300, 200), (50, 75, 3)), ((302, 200), (100, 151, 3)), ((301, 200), (200, 301, 3))]
)
def test_a_fraction_that_does_not_divide_a_side_would_stretch_it(
    tmp_path: Path, size: tuple[int, int], shape: tuple[int, ...]
) -> None:
    file = write_jpeg(tmp_path / "a.jpg", *size)
    found = read_shrunk(file.location, lambda width, height: (1, 1), max_pixels=MAX_PIXELS)
    assert found.pixels.shape == shape


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_on_its_side_is_asked_for_upright(tmp_path: Path, orientation: int) -> None:
    file = write_jpeg(tmp_path / "a.jpg", 160, 96, orientation=orientation)
    whole = read_image(file.location, max_pixels=MAX_PIXELS)
    asked: list[tuple[int, int]] = []

    def needs(width_px: int, height_px: int) -> tuple[int, int]:
        asked.append((width_px, height_px))
        return width_px // 4, height_px // 4

    found = read_shrunk(file.location, needs, max_pixels=MAX_PIXELS)
    height_px, width_px = whole.shape[:2]
    assert asked == [(width_px, height_px)] == [(found.width_px, found.height_px)]
    assert found.pixels.shape == (height_px // 4, width_px // 4, 3)
    like = cv2.resize(whole, (width_px // 4, height_px // 4), interpolation=cv2.INTER_AREA)
    assert np.abs(found.pixels.astype(int) - like).mean() < 2


def test_other_formats_and_colours_come_whole(tmp_path: Path) -> None:
    for name, mode in (("a.png", "RGB"), ("b.jpg", "CMYK")):
        Image.fromarray(he_like(1, 80, 64)).convert(mode).save(tmp_path / name)
        location = os.fsencode(tmp_path / name)
        found = read_shrunk(location, lambda width, height: (8, 8), max_pixels=MAX_PIXELS)
        assert np.array_equal(found.pixels, read_image(location, max_pixels=MAX_PIXELS))
        assert (found.width_px, found.height_px) == (80, 64)


def test_a_truncated_file_fails_as_it_does_in_full(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(he_like(2, 320, 240)).save(buffer, "JPEG")
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue()[:-2000])
    failures = []
    for read in (
        lambda at: read_image(at, max_pixels=MAX_PIXELS),
        lambda at: read_shrunk(at, lambda width, height: (8, 8), max_pixels=MAX_PIXELS),
    ):
        with pytest.raises(UnreadableImage) as refused:
            read(os.fsencode(tmp_path / "a.jpg"))
        failures.append(refused.value.failure)
    assert failures[0] == failures[1]
    with pytest.raises(UnreadableImage, match="megapixels"):
        read_shrunk(os.fsencode(tmp_path / "a.jpg"), lambda width, height: (8, 8), max_pixels=1000)


@pytest.mark.parametrize("policy", [RESIZE, GRID])
def test_views_are_those_of_the_whole_image(tmp_path: Path, policy: InputPolicy) -> None:
    file = write_jpeg(tmp_path / "a.jpg", 400, 300)
    whole, shrunk = (BatchDecoder(policy, MAX_PIXELS, shrink=shrink)[[file]] for shrink in (False, True))
    assert isinstance(shrunk.images[0], DecodedImage)
    assert (shrunk.images[0].width_px, shrunk.images[0].height_px) == (400, 300)
    assert shrunk.pixels.shape == whole.pixels.shape
    assert (shrunk.pixels.int() - whole.pixels.int()).abs().float().mean() < 2
    assert not np.array_equal(shrunk.pixels, whole.pixels)  # it did decode fewer


def test_originals_stay_whole(tmp_path: Path) -> None:
    file = write_jpeg(tmp_path / "a.jpg", 400, 300)
    plain = BatchDecoder(RESIZE, MAX_PIXELS, shrink=True)[[file]]
    batch = BatchDecoder(RESIZE, MAX_PIXELS, keep_originals=True, shrink=True)[[file]]
    assert batch.originals[0].shape == (300, 400, 3)
    assert np.array_equal(batch.pixels, plain.pixels)  # overlays change no probability


def test_what_is_needed_is_what_views_are_cut_from() -> None:
    assert scaled_size(RESIZE, 700, 460) == (32, 32)
    assert scaled_size(GRID, 700, 460) == (350, 230)
    assert scaled_size(InputPolicy(view="grid", width_px=352, height_px=224, scale=0.5), 700, 460)[0] == 352
