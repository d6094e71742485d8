"""Tiles hold the pixels that OpenSlide itself reads at their place."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import openslide
import pytest
import tifffile

from cancernet_cli.data.slides import open_slide
from cancernet_cli.data.tiles.pixels import level_region, read_tiles
from cancernet_cli.data.tiles.tiling import TileSize, grid_starts, tile_size
from tests.slide_files import marked, real_slide, write_ome, write_svs, write_tiled

WIDTH, HEIGHT = 1600, 1200


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slides") / "pyramid.tif"
    write_tiled(path, marked(WIDTH, HEIGHT))
    return path


def all_tiles(
    size: TileSize, overlap: float = 0.0, width: int = WIDTH, height: int = HEIGHT
) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.meshgrid(
        grid_starts(height, size.height_px, overlap), grid_starts(width, size.width_px, overlap), indexing="ij"
    )
    return x.ravel(), y.ravel()


def openslide_reads(
    slide: openslide.OpenSlide, place: tuple[int, int], level: int, side: tuple[int, int]
) -> np.ndarray:
    region = slide.read_region(place, level, side)
    white = np.full((side[1], side[0], 3), 255, np.uint8)
    alpha = np.asarray(region)[..., 3:]
    return np.where(alpha == 0, white, np.asarray(region)[..., :3])


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.3])
@pytest.mark.parametrize(("factor", "level"), [(1, 0), (2, 1), (4, 2)])
def test_every_tile_is_openslides_reading_of_its_place_at_every_level(
    pyramid: Path, factor: int, level: int, overlap: float
) -> None:
    slide = open_slide(os.fsencode(pyramid))
    size = TileSize(100 * factor, 80 * factor, 100, 80)
    x, y = all_tiles(size, overlap)
    x, y = x - x % factor, y - y % factor  # where OpenSlide has not to mix pixels of the level
    found = read_tiles(slide, x, y, size)
    assert not found.failures
    with openslide.OpenSlide(pyramid) as other:
        assert other.get_best_level_for_downsample(factor) == level
        for pixels, left, top in zip(found.pixels, x.tolist(), y.tolist(), strict=True):
            np.testing.assert_array_equal(pixels, openslide_reads(other, (left, top), level, (100, 80)))


@pytest.mark.parametrize("target_mpp", [0.25, 0.3, 0.37, 0.5, 0.731, 1.3])
def test_fractional_scales_are_openslides_pixels_shrunk_by_area(pyramid: Path, target_mpp: float) -> None:
    slide = open_slide(os.fsencode(pyramid))
    size = tile_size(64, 48, target_mpp=target_mpp, slide_mpp=0.25)
    x, y = all_tiles(size, 0.1)
    found = read_tiles(slide, x, y, size).pixels
    with openslide.OpenSlide(pyramid) as other:
        for pixels, left, top in zip(found, x.tolist(), y.tolist(), strict=True):
            at = level_region(slide, left, top, size)
            scale = round(other.level_downsamples[at.level])
            assert scale <= target_mpp / 0.25 * 1.02
            assert abs(at.x * scale - left) <= scale / 2
            assert abs(at.y * scale - top) <= scale / 2
            region = openslide_reads(other, (at.x * scale, at.y * scale), at.level, (at.width_px, at.height_px))
            expected = cv2.resize(region, (64, 48), interpolation=cv2.INTER_AREA)
            np.testing.assert_array_equal(pixels, expected)


def test_tiles_show_their_own_place(pyramid: Path) -> None:
    """Against the picture that was written, without any reader: the middle of a tile is the middle of its rectangle."""
    picture = np.random.default_rng(1).integers(0, 256, (12, 16, 3)).astype(np.uint8).repeat(100, 0).repeat(100, 1)
    path = pyramid.with_name("blocks.tif")
    write_tiled(path, picture)
    slide = open_slide(os.fsencode(path))
    size = tile_size(40, 40, target_mpp=0.61, slide_mpp=0.25)
    x, y = all_tiles(size)
    for pixels, left, top in zip(read_tiles(slide, x, y, size).pixels, x.tolist(), y.tolist(), strict=True):
        for row, column in ((3, 3), (20, 20), (36, 36)):
            across, down = left + (column + 0.5) * size.width_px / 40, top + (row + 0.5) * size.height_px / 40
            near_an_edge = min(across % 100, 100 - across % 100, down % 100, 100 - down % 100) < 6
            if across < WIDTH and down < HEIGHT and not near_an_edge:
                np.testing.assert_array_equal(pixels[row, column], picture[int(down), int(across)])


@pytest.mark.parametrize("write", [write_tiled, write_svs, write_ome])
@pytest.mark.parametrize(
    ("view", "target_mpp", "overlap"), [(64, 0.25, 0.5), (50, 0.77, 0.0), (32, 1.0, 0.33), (90, 0.2, 0.0)]
)
def test_neighbours_read_together_are_the_same_as_alone(
    tmp_path: Path, write: object, view: int, target_mpp: float, overlap: float
) -> None:
    path = tmp_path / "slide.tif"
    write(path, marked(1003, 701))  # type: ignore[operator]
    slide = open_slide(os.fsencode(path))
    size = tile_size(view, view, target_mpp=target_mpp, slide_mpp=0.25)
    x, y = all_tiles(size, overlap, 1003, 701)
    keep = np.random.default_rng(0).random(len(x)) < 0.7  # gaps, as between pieces of tissue
    x, y = x[keep], y[keep]
    together = read_tiles(slide, x, y, size)
    assert not together.failures
    for pixels, left, top in zip(together.pixels, x.tolist(), y.tolist(), strict=True):
        np.testing.assert_array_equal(pixels, read_tiles(slide, [left], [top], size).pixels[0])


def test_beyond_the_border_tiles_are_white(pyramid: Path) -> None:
    slide = open_slide(os.fsencode(pyramid))
    size = TileSize(200, 200, 200, 200)
    corner = read_tiles(slide, [WIDTH - 50], [HEIGHT - 30], size).pixels[0]
    np.testing.assert_array_equal(corner[:30, :50], marked(WIDTH, HEIGHT)[-30:, -50:])
    assert (corner[30:] == 255).all()
    assert (corner[:, 50:] == 255).all()


def test_a_slide_that_is_too_coarse_is_magnified(pyramid: Path) -> None:
    slide = open_slide(os.fsencode(pyramid))
    size = tile_size(100, 100, target_mpp=0.1, slide_mpp=0.25)
    assert (size.width_px, size.height_px) == (40, 40)
    region = marked(WIDTH, HEIGHT)[300:340, 500:540]
    expected = cv2.resize(region, (100, 100), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(read_tiles(slide, [500], [300], size).pixels[0], expected)


def test_levels_whose_downsample_is_no_whole_number_are_read_alone_and_in_place(tmp_path: Path) -> None:
    """1003 / 250 is 4.012: OpenSlide mixes neighbouring pixels of such a level, so a shared reading would differ."""
    path = tmp_path / "slide.svs"
    smooth = cv2.GaussianBlur(marked(1003, 1003), (0, 0), 40)
    smooth = np.asarray(smooth, np.uint8)
    small = write_svs(path, smooth, compression="deflate")[1]
    slide = open_slide(os.fsencode(path))
    assert slide.is_exact(0)
    assert not slide.is_exact(1)
    size = tile_size(60, 60, target_mpp=2.0, slide_mpp=0.499)
    x, y = all_tiles(size, 0.0, 960, 960)
    compared = 0
    for pixels, left, top in zip(read_tiles(slide, x, y, size).pixels, x.tolist(), y.tolist(), strict=True):
        at = level_region(slide, left, top, size)
        assert at.level == 1
        wide, high = min(at.width_px, 250 - at.x), min(at.height_px, 250 - at.y)
        own = small[at.y : at.y + high, at.x : at.x + wide]
        if (wide, high) == (at.width_px, at.height_px) == (60, 60):
            assert np.abs(pixels.astype(int) - own).mean() < 4  # a fraction of a pixel
            compared += 1
    assert compared >= 9


def test_jpegs_of_such_levels_are_the_files_own_pixels(tmp_path: Path) -> None:
    """They are not drawn by OpenSlide; tifffile decodes the whole level to compare with."""
    path = tmp_path / "slide.svs"
    write_svs(path, marked(1003, 1003))
    own = tifffile.imread(path, key=2)
    assert own.shape == (250, 250, 3)
    slide = open_slide(os.fsencode(path))
    assert slide.is_exact(1)
    size = tile_size(60, 60, target_mpp=2.0, slide_mpp=0.499)
    x, y = all_tiles(size, 0.3, 1003, 1003)
    for pixels, left, top in zip(read_tiles(slide, x, y, size).pixels, x.tolist(), y.tolist(), strict=True):
        at = level_region(slide, left, top, size)
        assert (at.level, at.width_px, at.height_px) == (1, 60, 60)
        expected = np.full((60, 60, 3), 255, np.uint8)
        inside = own[at.y : at.y + 60, at.x : at.x + 60]
        expected[: inside.shape[0], : inside.shape[1]] = inside
        np.testing.assert_array_equal(pixels, expected)


def test_a_damaged_tile_fails_alone_and_its_neighbours_are_read(tmp_path: Path) -> None:
    path = tmp_path / "slide.svs"
    write_svs(path, marked(960, 480))
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        start, count = page.dataoffsets[1], page.databytecounts[1]
    data = bytearray(path.read_bytes())
    data[start : start + count] = b"\xff" * count
    path.write_bytes(data)
    slide = open_slide(os.fsencode(path))
    size = TileSize(240, 240, 240, 240)
    found = read_tiles(slide, [0, 240, 480, 720], [0, 0, 0, 0], size)
    assert list(found.failures) == [1]
    assert found.failures[1].stage == "decode"
    assert (found.pixels[1] == 255).all()
    for i in (0, 2, 3):
        assert np.abs(found.pixels[i].astype(int) - marked(960, 480)[:240, i * 240 : (i + 1) * 240]).mean() < 12


def test_the_real_slide_reads_as_openslide_shows_it() -> None:
    path = real_slide()
    slide = open_slide(os.fsencode(path))
    size = TileSize(300, 200, 300, 200)
    width, height = slide.levels[0].width_px, slide.levels[0].height_px
    x, y = all_tiles(size, 0.2, width, height)
    found = read_tiles(slide, x, y, size).pixels
    with openslide.OpenSlide(path) as other:
        for pixels, left, top in zip(found, x.tolist(), y.tolist(), strict=True):
            np.testing.assert_array_equal(pixels, openslide_reads(other, (left, top), 0, (300, 200)))
