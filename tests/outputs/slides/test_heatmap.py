"""Heat maps: where tiles lie, what their colours say, scale bar and legend."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps

from cancernet_cli.outputs.pictures.scale_bar import round_length_um, show_length
from cancernet_cli.outputs.slides.heatmap import draw_heatmap
from cancernet_cli.outputs.slides.heatmap_legend import draw_legend
from cancernet_cli.outputs.slides.results import TileResults
from tests.tile_cases import OVERLAPPING, OVERLAPPING_FAILED, overlapping, results

PALE = (240, 238, 241)
WHITE = np.array((245, 246, 248))


def thumbnail(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), PALE, np.uint8)


def large() -> TileResults:
    """The case worked by hand, sixteen times as large."""
    small = overlapping()
    places = list(zip((small.x * 16).tolist(), (small.y * 16).tolist(), strict=True))
    return results(places, small.values.tolist(), slide=(1600, 960), tile=(640, 640))


def hand(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Value and failure of each pixel where a place of the hand-worked map is `side` px wide."""
    ones = np.ones((side, side))
    return np.kron(OVERLAPPING, ones), np.kron(OVERLAPPING_FAILED, ones).astype(bool)


def test_each_tile_lies_at_its_place() -> None:
    made = draw_heatmap(large(), thumbnail(1600, 960), 1.0, ["a"])[:960]
    values, failed = hand(320)
    is_there = ~np.isnan(values)
    colour = colormaps["RdYlBu_r"](np.nan_to_num(values))[..., :3] * 255
    expected = 0.45 * colour + 0.55 * (np.array(PALE) @ (0.299, 0.587, 0.114))
    assert np.abs(made[is_there] - expected[is_there]).max() < 4  # 256 colours, twice
    assert (made[~is_there & ~failed] == PALE).all()
    stripes = made[failed]
    assert (stripes == stripes[:, :1]).all()  # grey
    assert 0.15 < (stripes[:, 0] == 40).mean() < 0.35
    assert (made[~failed] != 40).any(axis=1).all()


def test_tiles_that_the_model_does_not_decide_on_are_gray() -> None:
    labels = ["unsure", "unsure", None, "malignant", None]
    made = draw_heatmap(dataclasses.replace(large(), labels=labels), thumbnail(1600, 960), 1.0, ["a"])
    grey = 0.45 * 205 + 0.55 * (np.array(PALE) @ (0.299, 0.587, 0.114))
    assert np.abs(made[:640, :960] - grey).max() < 2, "both tiles and their overlap"
    assert np.abs(made[:640, 1280:] - grey).max() > 50, "the sure tile keeps the color of its probability"
    decided = draw_heatmap(large(), thumbnail(1600, 960), 1.0, ["a"])
    legends = [one[980:, 320:640] for one in (made, decided)]
    swatches = [(np.abs(legend - grey).max(axis=2) < 2).sum() for legend in legends]
    assert swatches[0] > 500 > swatches[1]


@pytest.mark.parametrize("downsample", [0.5, 1.25, 4.0])
def test_edges_stay_where_they_are_when_the_picture_is_sized(downsample: float) -> None:
    """Thumbnails of 3200, 1280 and 400 px become 2048, 1280 and 1024."""
    made = draw_heatmap(large(), thumbnail(round(1600 / downsample), round(960 / downsample)), downsample, [])
    width = {0.5: 2048, 1.25: 1280, 4.0: 1024}[downsample]
    row = made[5, :width].astype(int)
    edges = np.flatnonzero(np.abs(np.diff(row, axis=0)).sum(axis=1) > 8) + 1
    np.testing.assert_allclose(edges, np.array([320, 640, 960, 1280]) * width / 1600, atol=0.51)


def test_colours_turn_at_the_threshold() -> None:
    p = [0.0, 0.29, 0.3, 0.31, 0.6, 1.0]
    tiles = results([(i * 200, 0) for i in range(6)], p, slide=(1200, 200), tile=(200, 200), threshold=0.3)
    made = draw_heatmap(tiles, thumbnail(1200, 200), 1.0, [])[100, 100::200].astype(int)
    red_over_blue = (made[:, 0] - made[:, 2])[:6]
    assert (np.diff(red_over_blue[:4]) > 0).all()
    assert red_over_blue[0] < -40  # blue
    assert red_over_blue[5] > 40  # red
    lightness = made[:6].sum(axis=1)
    assert lightness[[1, 2, 3]].min() > lightness[[0, 4, 5]].max()


def three_classes(places: list[tuple[int, int]], probs: list[list[float]]) -> TileResults:
    p = np.float32(probs)
    labels = ["abc"[i] for i in p.argmax(axis=1)]
    others = {"probs": p, "labels": labels, "classes": ("a", "b", "c"), "positive": "", "threshold": None}
    size = {"slide": (1200, 400), "tile": (600, 400)}
    return TileResults(**{**vars_of(results(places, [0.0] * len(places), **size)), **others})


def vars_of(tiles: TileResults) -> dict[str, Any]:
    return {field.name: getattr(tiles, field.name) for field in dataclasses.fields(tiles)}


def test_more_classes_have_a_colour_each() -> None:
    """Blue, vermillion and green, fuller with higher probability."""
    tiles = three_classes([(0, 0), (600, 0)], [[0.4, 0.3, 0.3], [0.1, 0.9, 0.0]])
    made = draw_heatmap(tiles, thumbnail(1200, 400), 1.0, [])
    for place, p, rgb in ((100, 0.4, (0, 114, 178)), (1000, 0.9, (213, 94, 0))):
        expected = 0.45 * (255 + p * (np.array(rgb) - 255)) + 0.55 * 239
        assert np.abs(made[50, place] - expected).max() < 2


def test_overlapping_tiles_show_the_class_of_the_highest_mean() -> None:
    tiles = three_classes([(0, 0), (300, 0)], [[0.6, 0.4, 0.0], [0.0, 0.45, 0.55]])
    made = draw_heatmap(tiles, thumbnail(1200, 400), 1.0, [])[50].astype(int)
    blue, vermillion, green = made[100], made[450], made[800]
    assert blue.argmax() == 2
    assert vermillion.argmax() == 0  # b is second in both, and first in their mean
    assert green.argmax() == 1


def test_tissue_shows_through() -> None:
    """More than half of the contrast of light and dark is left, and tissue's own colour does not tint the map."""
    rng = np.random.default_rng(0)
    dark = rng.random((400, 1200)) < 0.5
    picture = np.where(dark[..., None], (120, 60, 150), (240, 190, 215)).astype(np.uint8)
    tiles = results([(0, 0)], [0.8], slide=(1200, 400), tile=(1200, 400))
    made = draw_heatmap(tiles, picture, 1.0, [])[:400].astype(int)
    difference = made[~dark].mean(axis=0) - made[dark].mean(axis=0)
    grey = np.array((0.299, 0.587, 0.114)) @ np.array([(240 - 120), (190 - 60), (215 - 150)])
    np.testing.assert_allclose(difference, [grey * 0.55] * 3, atol=1)


def test_a_narrow_slide_stands_in_the_middle() -> None:
    tiles = results([(0, 0)], [0.8], slide=(100, 1200), tile=(100, 1200))
    made = draw_heatmap(tiles, thumbnail(100, 1200), 1.0, ["a slide"])
    assert made.shape[1] == 720
    assert (made[:1200, :310] == made[0, 0]).all()
    assert (made[:1200, 310:410] != made[0, 0]).any(axis=2).all()


def test_no_tiles_leave_the_thumbnail_as_it_is() -> None:
    tiles = results([], [], slide=(1200, 400))
    assert (draw_heatmap(tiles, thumbnail(1200, 400), 1.0, ["no tissue"])[:400] == PALE).all()


def test_captions_add_lines() -> None:
    one, three = (
        draw_heatmap(large(), thumbnail(1600, 960), 1.0, lines).shape[0] for lines in (["a"], ["a", "b", "c"])
    )
    assert three - one == 2 * round(1.4 * round(1600 / 62))


@pytest.mark.parametrize(
    ("um_per_px", "length"), [(0.25, 50), (0.5, 100), (1.0, 200), (2.6, 500), (8.0, 1000), (40, 5000)]
)
def test_scale_bars_have_round_lengths(um_per_px: float, length: float) -> None:
    assert round_length_um(um_per_px, 220) == length


def test_lengths_are_named() -> None:
    assert [show_length(v) for v in (50, 500, 1000, 20000)] == ["50 µm", "500 µm", "1 mm", "20 mm"]


@pytest.mark.parametrize("um_per_px", [0.499, 3.3, 8.0])
def test_the_scale_bar_is_as_long_as_it_says(um_per_px: float) -> None:
    legend = legend_of(um_per_px=um_per_px)
    runs = (legend[:, :400] == WHITE).all(axis=2).sum(axis=1)
    length = round_length_um(um_per_px, 1000 * 0.22)
    assert abs(int(runs.max()) - 1 - length / um_per_px) <= 3  # end strokes


def legend_of(
    *, threshold: float | None = 0.5, um_per_px: float = 1.0, patterns: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    ramp = np.repeat(np.linspace(60, 200, 256, dtype=np.float32)[:, None], 3, axis=1)
    return draw_legend(1000, {"p": ramp}, threshold=threshold, um_per_px=um_per_px, patterns=patterns or {})


@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.43, 1.0])
def test_the_threshold_is_marked_on_the_colour_bar(threshold: float) -> None:
    marked, plain = legend_of(threshold=threshold), legend_of(threshold=None)
    rows = np.flatnonzero(((plain >= 60) & (plain <= 200)).all(axis=2)[:, 420:960].mean(axis=1) > 0.9)
    bar = slice(rows[0] + 2, rows[-1] - 1)
    left, right = np.flatnonzero((plain[bar] >= 60).all(axis=(0, 2)))[[0, -1]]
    differs = np.flatnonzero((marked[bar] != plain[bar]).any(axis=(0, 2)))
    assert abs(differs.mean() - (left + threshold * (right - left))) <= 1.5


@pytest.mark.parametrize("classes", [1, 3, 8])
def test_each_class_has_its_colour_bar(classes: int) -> None:
    scales = {f"class {i}": np.full((256, 3), 60 + 20 * i, np.float32) for i in range(classes)}
    legend = draw_legend(1000, scales, threshold=None, um_per_px=1.0, patterns={})
    for i in range(classes):
        rows, columns = np.nonzero((legend == 60 + 20 * i).all(axis=2))
        assert np.ptp(rows) + 1 == round(1.1 * round(1000 / 62))
        assert np.ptp(columns) + 1 >= 150
        assert columns.min() >= 400


def test_stripes_are_explained_only_where_there_are_some() -> None:
    without, with_stripes = legend_of(), legend_of(patterns={"failed": np.full((64, 256), 150, np.float32)})
    assert (with_stripes == 150).all(axis=2).sum() > 200
    assert (without[:, 290:400] == without[0, 0]).all()


def test_tiles_unlike_the_training_images_lose_their_color() -> None:
    tiles = dataclasses.replace(large(), unlike=np.array([True, False, False, False, False]))
    made = draw_heatmap(tiles, thumbnail(1600, 960), 1.0, [])[:960]
    usual = draw_heatmap(large(), thumbnail(1600, 960), 1.0, [])[:960]
    alone = made[:320, :320]  # only the first tile covers this place
    assert (alone == alone[..., :1]).all()
    assert 0.05 < (alone[..., 0] == 255).mean() < 0.25
    assert (made[:320, 640:] == usual[:320, 640:]).all()


def test_glass_keeps_its_color() -> None:
    tissue = np.zeros((960, 1600), np.bool_)
    tissue[:, 100:300] = True
    made = draw_heatmap(large(), thumbnail(1600, 960), 1.0, [], tissue)[:640]
    whole = draw_heatmap(large(), thumbnail(1600, 960), 1.0, [])[:640]
    assert (made[:, 105:295] == whole[:, 105:295]).all()
    assert (made[:, :95] == PALE).all()
    assert (made[:, 305:640] == PALE).all()


def test_tissue_without_tiles_is_dotted_and_slivers_are_not() -> None:
    tiles = results([(0, 0)], [0.8], slide=(1600, 960), tile=(640, 640))
    tissue = np.zeros((960, 1600), np.bool_)
    tissue[:640, :645] = True  # 5 px beyond the tile
    plain = draw_heatmap(tiles, thumbnail(1600, 960), 1.0, [], tissue)[:960]
    assert (plain[:, 650:] == PALE).all()
    assert not (plain == 40).all(axis=2).any()
    tissue[:640, 800:1200] = True
    dotted = draw_heatmap(tiles, thumbnail(1600, 960), 1.0, [], tissue)[:960]
    assert 0.05 < (dotted[20:620, 820:1180] == 40).all(axis=2).mean() < 0.3
    assert (dotted[650:, :] == PALE).all()
