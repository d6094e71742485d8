"""The map that tiles make, against cases worked by hand and one tile after another."""

from __future__ import annotations

import numpy as np
import pytest

from cancernet_cli.outputs.slides.results import TileResults
from cancernet_cli.outputs.slides.tile_map import TileMap, TilePainter
from tests.tile_cases import OVERLAPPING, OVERLAPPING_FAILED, overlapping, results


def paint(tiles: TileResults, width: int, height: int, step_x: float, step_y: float) -> TileMap:
    return TilePainter(tiles, width, step_x=step_x, step_y=step_y).rows(0, height)


@pytest.mark.parametrize("step", [20, 10, 4, 1])
def test_overlap_borders_and_failed_tiles(step: int) -> None:
    made = paint(overlapping(), 100 // step, 60 // step, step, step)
    each = np.ones((20 // step, 20 // step))
    np.testing.assert_array_equal(made.values, np.kron(OVERLAPPING, each).astype(np.float32))
    np.testing.assert_array_equal(made.failed, np.kron(OVERLAPPING_FAILED, each).astype(bool))
    assert made.values.dtype == np.float32


def one_by_one(tiles: TileResults, width: int, height: int, step_x: float, step_y: float) -> np.ndarray:
    """The mean over the tiles that each pixel's centre lies in, pixel by pixel."""
    made = np.full((height, width), np.nan)
    for row in range(height):
        for column in range(width):
            x, y = (column + 0.5) * step_x, (row + 0.5) * step_y
            over = (tiles.x <= x) & (x < tiles.x + tiles.tile_width_px) & ~tiles.failed
            over &= (tiles.y <= y) & (y < tiles.y + tiles.tile_height_px)
            if over.any():
                made[row, column] = tiles.values[over].astype(np.float64).mean()
    return made


@pytest.mark.parametrize("step", [(7, 7), (3.7, 2.9), (1, 1), (50, 60)])
def test_any_step_takes_the_tiles_over_a_pixels_centre(step: tuple[float, float]) -> None:
    rng = np.random.default_rng(3)
    places = np.stack([rng.integers(0, 90, 60), rng.integers(0, 70, 60)], axis=1)
    p = rng.random(60)
    p[::7] = np.nan
    tiles = results(places, p, slide=(90, 70), tile=(23, 17))
    width, height = int(np.ceil(90 / step[0])), int(np.ceil(70 / step[1]))
    made = paint(tiles, width, height, *step)
    np.testing.assert_allclose(made.values, one_by_one(tiles, width, height, *step), rtol=0, atol=1e-7)


def test_a_tile_at_the_border_keeps_its_pixel() -> None:
    """Its centre lies beyond the slide, which ends a quarter into the pixel; further pixels have no tile."""
    tiles = results([(0, 0), (40, 0), (80, 0)], [0.25, 0.5, 0.75], slide=(90, 10))
    made = paint(tiles, 4, 2, 40, 40)
    np.testing.assert_array_equal(made.values, np.float32([[0.25, 0.5, 0.75, np.nan], [np.nan] * 4]))


def test_rows_are_those_of_the_whole_map() -> None:
    rng = np.random.default_rng(4)
    tiles = results(
        np.stack([rng.integers(0, 90, 50), rng.integers(0, 70, 50)], axis=1), rng.random(50), slide=(90, 70)
    )
    painter = TilePainter(tiles, 45, step_x=2, step_y=2)
    whole = painter.rows(0, 35)
    for first in range(0, 35, 8):
        rows = min(8, 35 - first)
        part = painter.rows(first, rows)
        np.testing.assert_array_equal(part.values, whole.values[first : first + rows])
        np.testing.assert_array_equal(part.failed, whole.failed[first : first + rows])


def test_the_order_of_tiles_leaves_no_trace() -> None:
    rng = np.random.default_rng(5)
    places, p = np.stack([rng.integers(0, 90, 50), rng.integers(0, 60, 50)], axis=1), rng.random(50)
    order = rng.permutation(50)
    one = paint(results(places, p), 100, 60, 1, 1)
    other = paint(results(places[order], p[order]), 100, 60, 1, 1)
    np.testing.assert_array_equal(one.values, other.values)


def test_a_single_tile_keeps_its_probability() -> None:
    p = np.float32([0.1, 1 / 3, 0.9999999, 1e-3])
    made = paint(results([(0, 0), (40, 0), (80, 0), (0, 40)], p), 5, 3, 20, 20)
    np.testing.assert_array_equal(made.values[[0, 0, 0, 2], [0, 2, 4, 0]], p)


def test_no_tiles_give_an_empty_map() -> None:
    made = paint(results([], []), 5, 3, 20, 20)
    assert np.isnan(made.values).all()
    assert not made.failed.any()
