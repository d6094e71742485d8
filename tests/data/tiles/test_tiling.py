import time

import numpy as np
import pytest

from cancernet_cli.data.tiles.tiling import TileSize, grid_starts, plan_tiles, tile_size
from cancernet_cli.data.tiles.tissue import Tissue


def tissue(mask: np.ndarray, downsample: float, pen: np.ndarray | None = None) -> Tissue:
    return Tissue(mask, np.zeros_like(mask) if pen is None else pen, downsample, downsample * 0.25)


def test_a_tile_covers_the_views_extent_on_the_slide() -> None:
    assert tile_size(224, 224, target_mpp=0.5, slide_mpp=0.25) == TileSize(448, 448, 224, 224)
    assert tile_size(352, 224, target_mpp=0.4, slide_mpp=0.499) == TileSize(282, 180, 352, 224)
    assert tile_size(16, 16, target_mpp=0.02, slide_mpp=10) == TileSize(1, 1, 16, 16)


def test_a_grid_starts_at_zero_and_rounds_each_place_by_itself() -> None:
    assert grid_starts(1000, 250, 0).tolist() == [0, 250, 500, 750]
    assert grid_starts(1001, 250, 0).tolist() == [0, 250, 500, 750, 1000]
    assert grid_starts(40, 15, 0.5).tolist() == [0, 8, 15, 23, 30, 38]  # 0, 7.5, 15, 22.5, 30, 37.5
    assert grid_starts(3, 100, 0.2).tolist() == [0]
    assert grid_starts(5, 2, 0.95).tolist() == [0, 1, 2, 3, 4]  # never less than a pixel on


@pytest.mark.parametrize(("tile", "overlap"), [(313, 0.1), (224, 0.3), (97, 0.333)])
def test_errors_do_not_add_up_along_a_slide(tile: int, overlap: float) -> None:
    starts = grid_starts(200_000, tile, overlap)
    exact = np.arange(len(starts)) * tile * (1 - overlap)
    assert np.abs(starts - exact).max() <= 0.5 + 1e-6
    assert starts[-1] < 200_000 <= starts[-1] + tile


def test_tiles_come_by_row_then_column_with_their_shares() -> None:
    mask = np.zeros((4, 6), bool)
    mask[1, 2:4] = True
    mask[3, 0] = True
    plan = plan_tiles(60, 40, TileSize(20, 20, 20, 20), tissue(mask, 10))
    assert list(zip(plan.x.tolist(), plan.y.tolist(), plan.tissue_fraction.tolist(), strict=True)) == [
        (20, 0, 0.5),
        (0, 20, 0.25),
    ]
    assert plan.grid == (3, 2)
    assert (plan.x.dtype, plan.tissue_fraction.dtype) == (np.int64, np.float32)
    assert len(plan_tiles(60, 40, TileSize(20, 20, 20, 20), tissue(mask, 10), min_tissue=0.5)) == 1
    assert len(plan_tiles(60, 40, TileSize(20, 20, 20, 20), tissue(mask, 10), min_tissue=0.51)) == 0


@pytest.mark.parametrize(("downsample", "overlap"), [(8.0, 0.0), (8.0, 0.3), (7.3, 0.25), (16.0, 0.5)])
def test_shares_are_those_of_the_mask_drawn_at_full_size(downsample: float, overlap: float) -> None:
    """Against counting pixels: 60 steps a pixel of level 0 in the mask's own scale would be exact; 4 come close."""
    random = np.random.default_rng(0)
    width, height, fine = 211, 173, 4
    mask = random.random((int(np.ceil(height / downsample)), int(np.ceil(width / downsample)))) < 0.5
    pen = ~mask
    size = TileSize(37, 29, 37, 29)
    plan = plan_tiles(width, height, size, tissue(mask, downsample, pen), overlap=overlap)
    rows = ((np.arange(height * fine) + 0.5) / fine / downsample).astype(int)
    columns = ((np.arange(width * fine) + 0.5) / fine / downsample).astype(int)
    drawn = mask[np.ix_(rows, columns)]
    assert len(plan) > 20
    for x, y, share, ink in zip(plan.x, plan.y, plan.tissue_fraction, plan.pen_fraction, strict=True):
        window = drawn[y * fine : (y + 29) * fine, x * fine : (x + 37) * fine]
        assert share == pytest.approx(window.sum() / (37 * 29 * fine**2), abs=0.01)
        assert ink == pytest.approx((~window).sum() / (37 * 29 * fine**2), abs=0.01)


def test_tiles_that_stick_out_count_what_lies_outside_as_bare() -> None:
    plan = plan_tiles(30, 20, TileSize(20, 20, 20, 20), tissue(np.ones((2, 3), bool), 10))
    assert plan.x.tolist() == [0, 20]
    assert plan.tissue_fraction.tolist() == [1.0, 0.5]
    # the mask's last pixels reach beyond the slide, and what lies there is no tissue
    plan = plan_tiles(25, 20, TileSize(20, 20, 20, 20), tissue(np.ones((2, 3), bool), 10))
    assert plan.tissue_fraction.tolist() == [1.0, 0.25]


def test_no_tissue_gives_no_tiles() -> None:
    plan = plan_tiles(100, 100, TileSize(10, 10, 10, 10), tissue(np.zeros((10, 10), bool), 10))
    assert len(plan) == 0
    assert plan.grid == (10, 10)


def test_a_million_tiles_take_about_a_second() -> None:
    mask = np.random.default_rng(0).random((3000, 3000)) < 0.5
    start = time.process_time()
    plan = plan_tiles(96_000, 96_000, TileSize(96, 96, 96, 96), tissue(mask, 32))
    assert len(plan) > 990_000
    assert time.process_time() - start < 5  # one on an idle machine


@pytest.mark.parametrize(
    ("width", "height", "places"),
    [
        (20, 20, [(0, 0)]),
        (1, 1, [(0, 0)]),
        (224, 224, [(0, 0)]),
        (500, 30, [(0, 0), (224, 0), (448, 0)]),
        (30, 300, [(0, 0), (0, 224)]),
    ],
)
def test_a_slide_of_tissue_smaller_than_a_tile_has_tiles(
    width: int, height: int, places: list[tuple[int, int]]
) -> None:
    whole = Tissue(np.ones((height, width), np.bool_), np.zeros((height, width), np.bool_), 1.0, 1.0)
    plan = plan_tiles(width, height, TileSize(224, 224, 224, 224), whole, min_tissue=0.2)
    assert list(zip(plan.x.tolist(), plan.y.tolist(), strict=True)) == places
