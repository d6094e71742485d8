"""The probability TIFF: values, scale and levels, as tifffile and OpenSlide read them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from cancernet_cli.core.errors import OutputError
from cancernet_cli.outputs.slides.probability_tiff import step_px, write_probability_tiff
from cancernet_cli.outputs.slides.results import TileResults
from tests.tile_cases import overlapping, results

# Worked by hand: 20 px of level 0 a pixel; 5 + 250 p for 0.75, 0.5, 0.25 and 1, where 187.5 goes to 188 and 62.5 to 62
HAND = np.array([[193, 130, 67, 0, 255], [193, 130, 67, 0, 255], [1, 1, 0, 1, 1]], np.uint8)


def levels(path: Path) -> list[np.ndarray]:
    with tifffile.TiffFile(path) as file:
        assert len(file.series) == 1
        return [level.asarray() for level in file.series[0].levels]


def test_a_map_worked_by_hand(tmp_path: Path) -> None:
    write_probability_tiff(overlapping(), tmp_path / "map.tif")
    (only,) = levels(tmp_path / "map.tif")
    assert only.dtype == np.uint8
    np.testing.assert_array_equal(only, HAND)


def test_openslide_reads_it_at_the_right_scale(tmp_path: Path) -> None:
    write_probability_tiff(overlapping(), tmp_path / "map.tif")
    with openslide.OpenSlide(tmp_path / "map.tif") as slide:
        assert slide.dimensions == (5, 3)
        read = np.asarray(slide.read_region((0, 0), 0, (5, 3)).convert("RGB"))
        for side in "xy":
            assert float(slide.properties[f"openslide.mpp-{side}"]) == pytest.approx(20 * 0.5, rel=1e-6)
    np.testing.assert_array_equal(read, np.repeat(HAND[..., None], 3, axis=2))


def test_the_file_says_what_it_holds(tmp_path: Path) -> None:
    write_probability_tiff(overlapping(), tmp_path / "map.tif")
    with tifffile.TiffFile(tmp_path / "map.tif") as file:
        assert file.pages.first.description == (
            "CancerNet map of tiles: probability of malignant\n"
            "0: no tile; 1: tiles failed; 5 to 255: (value - 5) / 250\n"
            "one pixel covers 20 x 20 px of level 0, from (0, 0) on; slide: 100 x 60 px, 0.5 um/px"
        )


def grid(across: int, down: int, tile: int, *, slide: tuple[int, int] | None = None) -> TileResults:
    places = [(x * tile, y * tile) for y in range(down) for x in range(across)]
    p = np.random.default_rng(1).integers(0, 251, len(places)) / 250
    p[::11] = np.nan
    return results(places, p, slide=slide or (across * tile, down * tile), tile=(tile, tile), mpp=0.2527)


def test_a_pyramid(tmp_path: Path) -> None:
    """Levels by another way: means over squares of codes, where there are any."""
    tiles = grid(700, 301, 37)
    write_probability_tiff(tiles, tmp_path / "map.tif")
    found = levels(tmp_path / "map.tif")
    assert [level.shape for level in found] == [(304, 700), (152, 350), (76, 175)]
    codes = np.where(tiles.failed, 1, np.nan_to_num(tiles.values) * 250 + 5).round().reshape(301, 700)
    np.testing.assert_array_equal(found[0][:301], codes)
    assert (found[0][301:] == 0).all()
    for factor, level in ((2, found[1]), (4, found[2])):
        height, width = level.shape
        p = np.where(found[0] >= 5, (found[0] - 5.0) / 250, np.nan)
        while p.shape != level.shape:
            squares = p.reshape(p.shape[0] // 2, 2, -1, 2).transpose(0, 2, 1, 3).reshape(p.shape[0] // 2, -1, 4)
            p = np.ma.masked_invalid(squares).mean(axis=2).filled(np.nan)
        is_there = ~np.isnan(p)
        assert np.abs(level[is_there] - (5 + 250 * p[is_there])).max() <= 0.501
        any_failed = (found[0] == 1).reshape(height, factor, width, factor).any(axis=(1, 3))
        np.testing.assert_array_equal(level[~is_there], any_failed[~is_there])

    with openslide.OpenSlide(tmp_path / "map.tif") as slide:
        assert slide.level_downsamples == (1.0, 2.0, 4.0)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(37 * 0.2527, rel=1e-6)
        coarse = np.asarray(slide.read_region((400, 100), 1, (60, 40)).convert("L"))
    np.testing.assert_array_equal(coarse, found[1][50:90, 200:260])


@pytest.mark.parametrize(
    ("tile", "places", "step"),
    [
        ((224, 224), [(0, 0), (448, 224)], 224),  # one pixel per tile
        ((224, 224), [(0, 0), (168, 0), (336, 168)], 56),  # overlap of a quarter
        ((700, 460), [(0, 0), (700, 460)], 20),
        ((224, 224), [(0, 0), (202, 0), (403, 0)], 14),  # overlap of a tenth: edges share one pixel, a 16th is taken
        ((9, 9), [(0, 0), (8, 0)], 1),
    ],
)
def test_a_pixel_is_as_wide_as_edges_allow(tile: tuple[int, int], places: list[tuple[int, int]], step: int) -> None:
    assert step_px(results(places, [0.5] * len(places), slide=(2000, 2000), tile=tile)) == step


def test_a_border_that_cuts_tiles_cuts_no_pixel(tmp_path: Path) -> None:
    write_probability_tiff(grid(3, 2, 100, slide=(230, 110)), tmp_path / "map.tif")
    (only,) = levels(tmp_path / "map.tif")
    assert only.shape == (2, 3)
    assert only.all()


def test_no_tiles_give_an_empty_map(tmp_path: Path) -> None:
    write_probability_tiff(results([], []), tmp_path / "map.tif")
    np.testing.assert_array_equal(levels(tmp_path / "map.tif")[0], np.zeros((2, 3), np.uint8))


def test_same_results_same_bytes(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        write_probability_tiff(grid(300, 20, 10), tmp_path / name)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_memory_does_not_grow_with_the_slides_height(tmp_path: Path) -> None:
    def peak_bytes(side: int) -> int:
        tiles = results(
            [(0, y) for y in range(0, side, 160)], [0.5] * (side // 160), slide=(5120, side), tile=(5120, 160)
        )
        tracemalloc.start()
        write_probability_tiff(tiles, tmp_path / "high.tif")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    write_probability_tiff(grid(2, 2, 10), tmp_path / "warm.tif")
    small, large = peak_bytes(160_000), peak_bytes(1_600_000)
    assert step_px(results([], [], tile=(5120, 160))) == 160
    assert large < small + 1_000_000  # the map has 9,000 rows of 32 pixels more, its sums would take 2.3 MB each


def test_a_folder_in_the_way_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_probability_tiff(overlapping(), tmp_path)
    assert list(tmp_path.iterdir()) == []
