import cv2
import numpy as np
import pytest

from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.data.loading.views import (
    ViewGrid,
    make_views,
    part_of_one_view,
    scaled_image,
    stitch,
    view_grid,
    whole_views,
)
from tests.he_images import he_like


def grid(side: int = 100, **policy: object) -> InputPolicy:
    return InputPolicy(view="grid", width_px=side, height_px=side, **policy)  # type: ignore[arg-type]


def test_resize_gives_one_squeezed_view() -> None:
    policy = InputPolicy(view="resize", width_px=224, height_px=200)
    image = he_like(0, 700, 460)
    views = make_views(image, policy)
    assert views.shape == (1, 200, 224, 3)
    np.testing.assert_array_equal(views[0], cv2.resize(image, (224, 200), interpolation=cv2.INTER_AREA))


def test_half_the_size_is_the_mean_of_four_pixels() -> None:
    image = he_like(0, 700, 460)
    policy = InputPolicy(view="resize", width_px=350, height_px=230)
    means = image.reshape(230, 2, 350, 2, 3).mean(axis=(1, 3))
    assert np.abs(make_views(image, policy)[0] - means).max() <= 0.5  # rounding


def test_squeezing_a_little_below_half_stays_near_the_areas_means() -> None:
    image = cv2.GaussianBlur(he_like(0, 700, 460), (5, 5), 0)  # as sharp as a lens
    policy = InputPolicy(view="resize", width_px=352, height_px=224)
    means = cv2.resize(image, (352, 224), interpolation=cv2.INTER_AREA)
    assert np.abs(make_views(image, policy)[0].astype(int) - means).mean() < 1


@pytest.mark.parametrize(
    ("size", "policy", "expected"),
    [
        # worked by hand: 250 needs three views of 100, spread evenly, the last one flush with the edge
        ((250, 100), grid(), ViewGrid(250, 100, ((0, 0), (75, 0), (150, 0)))),
        # exact multiples need no overlap
        ((200, 200), grid(), ViewGrid(200, 200, ((0, 0), (100, 0), (0, 100), (100, 100)))),
        # at least 25 shared: 175 = 100 + 75 fits two, 176 needs three
        ((175, 100), grid(overlap=0.25), ViewGrid(175, 100, ((0, 0), (75, 0)))),
        ((176, 100), grid(overlap=0.25), ViewGrid(176, 100, ((0, 0), (38, 0), (76, 0)))),
        # half scale
        ((400, 200), grid(scale=0.5), ViewGrid(200, 100, ((0, 0), (100, 0)))),
        # too small: grows, both sides alike, until the shorter one fills a view
        ((50, 25), grid(), ViewGrid(200, 100, ((0, 0), (100, 0)))),
        # four would be needed, two are allowed: 200 is the longest side that two views cover
        ((400, 100), grid(max_views=2), ViewGrid(200, 100, ((0, 0), (100, 0)))),
        ((1000, 1000), grid(max_views=4), ViewGrid(200, 200, ((0, 0), (100, 0), (0, 100), (100, 100)))),
        ((1000, 700), grid(max_views=1), ViewGrid(100, 100, ((0, 0),))),
    ],
)
def test_the_grid_of(size: tuple[int, int], policy: InputPolicy, expected: ViewGrid) -> None:
    assert view_grid(*size, policy) == expected


@pytest.mark.parametrize("size", [(16, 16), (17, 4000), (99, 101), (100, 100), (333, 777), (700, 460), (5000, 3000)])
@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("scale", [0.3, 1.0, 1.7])
def test_views_cover_every_pixel_and_keep_the_rules(size: tuple[int, int], overlap: float, scale: float) -> None:
    policy = InputPolicy(view="grid", width_px=96, height_px=64, overlap=overlap, scale=scale, max_views=40)
    found = view_grid(*size, policy)
    assert 1 <= len(found.corners) <= 40
    assert len(set(found.corners)) == len(found.corners)
    for total, side, starts in (
        (found.width_px, 96, sorted({x for x, _ in found.corners})),
        (found.height_px, 64, sorted({y for _, y in found.corners})),
    ):
        assert starts[0] == 0
        assert starts[-1] + side == total
        steps = np.diff(starts)
        assert all(side - step >= overlap * side - 1e-9 for step in steps)
        assert len(steps) == 0 or steps.max() - steps.min() <= 1


def test_views_are_cut_where_the_grid_says() -> None:
    image = he_like(1, 250, 130)
    policy = grid(overlap=0.2)
    views = make_views(image, policy)
    corners = view_grid(250, 130, policy).corners
    assert views.shape == (len(corners), 100, 100, 3)
    assert views.dtype == np.uint8
    for view, (x, y) in zip(views, corners, strict=True):
        np.testing.assert_array_equal(view, image[y : y + 100, x : x + 100])


def test_stitching_undoes_cutting() -> None:
    image = he_like(2, 250, 130)
    policy = grid(overlap=0.2)
    maps = make_views(image, policy)[..., 0].astype(np.float32)
    np.testing.assert_allclose(stitch(maps, 250, 130, policy), image[..., 0], atol=1e-4)


def test_overlaps_are_averaged() -> None:
    maps = np.stack([np.zeros((100, 100), np.float32), np.ones((100, 100), np.float32)])
    whole = stitch(maps, 150, 100, grid())
    assert whole.shape == (100, 150)
    np.testing.assert_array_equal(whole[0, [0, 49, 50, 99, 100, 149]], [0, 0, 0.5, 0.5, 1, 1])


@pytest.mark.parametrize("size", [(40, 30), (333, 200), (4000, 90)])
@pytest.mark.parametrize("view", ["resize", "grid"])
def test_a_stitched_mask_has_the_images_size_and_stays_in_range(size: tuple[int, int], view: str) -> None:
    policy = InputPolicy(view=view, width_px=64, height_px=64, max_views=6)  # type: ignore[arg-type]
    count = len(view_grid(*size, policy).corners)
    maps = np.random.default_rng(0).random((count, 64, 64), np.float32)
    whole = stitch(maps, *size, policy)
    assert whole.shape == size[::-1]
    assert whole.dtype == np.float32
    assert whole.min() >= 0
    assert whole.max() <= 1


def test_maps_of_another_image_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"maps have shape \(1, 64, 64\), the views of a 250 x 100 image \(3, 100, 100\)"
    ):
        stitch(np.zeros((1, 64, 64), np.float32), 250, 100, grid())


def test_a_side_a_little_over_one_view_is_squeezed_into_it() -> None:
    policy = InputPolicy(view="grid", width_px=352, height_px=224, scale=0.5)
    for width, height in ((700, 460), (700, 456), (500, 328)):
        grid = view_grid(width, height, policy)
        assert (grid.width_px, grid.height_px, len(grid.corners)) == (352, 224, 1)
    assert len(view_grid(780, 460, policy).corners) == 2


def scaled_grid(scale: float, side: int = 100, **policy: object) -> InputPolicy:
    return grid(side, scale=scale, scales={"40": 1.0}, magnification_mpp={"40": 0.49}, **policy)


@pytest.mark.parametrize(
    ("size", "policy", "expected"),
    [
        ((200, 120), scaled_grid(0.25), ViewGrid(50, 30, ((0, 0),))),
        ((600, 120), scaled_grid(0.25), ViewGrid(150, 30, ((0, 0), (50, 0)))),
        ((208, 192), scaled_grid(0.5), ViewGrid(100, 100, ((0, 0),))),  # off by less than 5 %
        ((192, 400), scaled_grid(0.5, max_views=1), ViewGrid(50, 100, ((0, 0),))),
        ((16, 16), scaled_grid(0.05), ViewGrid(1, 1, ((0, 0),))),
    ],
)
def test_with_scales_a_small_image_keeps_its_scale(
    size: tuple[int, int], policy: InputPolicy, expected: ViewGrid
) -> None:
    assert view_grid(*size, policy) == expected
    assert make_views(he_like(0, *size), policy).shape == (len(expected.corners), 100, 100, 3)


def test_a_small_image_is_mirrored_so_that_its_statistics_stay() -> None:
    image = he_like(0, 200, 200)
    policy = scaled_grid(0.25)
    (view,) = make_views(image, policy)
    small = view[:50, :50]
    np.testing.assert_array_equal(view[:50, 50:], small[:, ::-1])
    np.testing.assert_array_equal(view[50:, :50], small[::-1])
    scaled, grid_of = scaled_image(image, policy)
    assert (scaled.shape, grid_of.width_px) == ((100, 100, 3), 50)
    np.testing.assert_allclose(view.mean(axis=(0, 1)), small.mean(axis=(0, 1)))
    np.testing.assert_allclose(view.std(axis=(0, 1)), small.std(axis=(0, 1)))


@pytest.mark.parametrize("size", [(200, 120), (600, 120), (90, 800)])
def test_stitching_leaves_out_what_was_mirrored(size: tuple[int, int]) -> None:
    policy = scaled_grid(0.25)
    image = cv2.GaussianBlur(he_like(0, *size), (0, 0), 8)
    maps = make_views(image, policy)[..., 0].astype(np.float32)
    whole = stitch(maps, *size, policy)
    assert whole.shape == size[::-1]
    assert np.abs(whole - image[..., 0]).mean() < 3


@pytest.mark.parametrize("size", [(50, 50), (90, 90), (60, 58), (30, 20), (400, 300)])
@pytest.mark.parametrize("view", ["grid", "resize"])
def test_a_part_of_an_image_alone_is_the_view_that_it_is_in_the_image(size: tuple[int, int], view: str) -> None:
    """One view of an enlarged image, from the image and from the part that the view shows."""
    policy = InputPolicy(view=view, width_px=96, height_px=64, scale=0.5)  # type: ignore[arg-type]
    image = cv2.GaussianBlur(he_like(1, *size), (0, 0), 1.5)
    part = part_of_one_view(*size, policy)
    if view == "grid" and size == (400, 300):
        assert part is None  # not enlarged: a view is 96 x 64 pixels at half the resolution
        return
    assert part is not None
    views = make_views(image, policy)
    alone = whole_views(image[None, : part[1], : part[0]], policy)
    if len(views) == 1:
        assert part == size
        np.testing.assert_array_equal(alone, views)
    else:  # only the first view; its lower border may lie between two pixels
        assert np.abs(alone[0].astype(int) - views[0]).mean() < 2


def test_tiles_of_a_views_size_are_the_views() -> None:
    tiles = np.stack([he_like(seed, 96, 64) for seed in range(3)])
    assert whole_views(tiles, InputPolicy(width_px=96, height_px=64)) is tiles
    assert whole_views(tiles[:0, :10, :10], InputPolicy(width_px=96, height_px=64)).shape == (0, 64, 96, 3)
