"""Overlays: sizes, contour and caption."""

from __future__ import annotations

import numpy as np
import pytest

from cancernet_cli.outputs.pictures.caption import Legend, caption_band
from cancernet_cli.outputs.pictures.class_colours import class_colours, on_dark
from cancernet_cli.outputs.pictures.overlay import draw_overlay

PINK = (222, 170, 200)
YELLOW_GREEN = np.array((225, 255, 60))


def tissue(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), PINK, np.uint8)


def disc(size: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return (np.hypot(x, y) < radius).astype(np.float32)


def is_line(picture: np.ndarray) -> np.ndarray:
    return np.abs(picture.astype(int) - YELLOW_GREEN).sum(axis=-1) < 130


def draw(image: np.ndarray, mask: np.ndarray | None, true_label: str | None = None) -> np.ndarray:
    return draw_overlay(image, mask, label="malignant", percent=97.3, true_label=true_label)


@pytest.mark.parametrize(
    ("size", "shown"),
    [((460, 700), (460, 700)), ((3000, 4096), (1500, 2048)), ((1, 1), (480, 480)), ((30, 40), (360, 480))],
)
def test_sizes(size: tuple[int, int], shown: tuple[int, int]) -> None:
    made = draw(tissue(*size), None)
    assert made.dtype == np.uint8
    assert made.shape[1] == shown[1]
    assert shown[0] < made.shape[0] < shown[0] * 1.3
    assert (made[: shown[0]] == PINK).all()  # the caption covers no tissue


def test_a_narrow_image_stands_in_the_middle_of_its_caption() -> None:
    made = draw(tissue(1000, 50), None)
    assert made.shape[1] == 480
    assert (made[:1000, 215:265] == PINK).all()
    assert not (made[:1000, :215] == PINK).all(axis=-1).any()


def test_the_contour_lies_where_the_mask_ends() -> None:
    made = draw(tissue(500, 500), disc(500, 150))[:500]
    y, x = np.nonzero(is_line(made))
    radius = np.hypot(y - 249.5, x - 249.5)
    assert radius.min() > 148
    assert radius.max() < 152
    angles = np.degrees(np.arctan2(y - 249.5, x - 249.5)).round().astype(int)
    assert len(np.unique(angles)) >= 360  # no gaps
    assert (made[250, 250] == PINK).all()
    assert (made[5, 5] == PINK).all()  # nothing is dimmed


def test_a_mask_of_another_size_is_stretched_over_the_image() -> None:
    large, small = (draw(tissue(500, 500), disc(n, 0.3 * n)) for n in (500, 100))
    y, x = np.nonzero(is_line(small[:500]))
    assert np.abs(np.hypot(y - 249.5, x - 249.5) - 150).max() < 6
    assert large.shape == small.shape


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_empty_or_full_mask_has_no_contour(value: float) -> None:
    assert not is_line(draw(tissue(300, 500), np.full((300, 500), value, np.float32))[:300]).any()


def test_the_image_given_is_not_changed() -> None:
    image = tissue(500, 500)
    draw(image, disc(500, 100))
    assert (image == PINK).all()


def test_the_bar_is_as_long_as_the_percentage() -> None:
    for percent in (0.0, 25.0, 100.0):
        band = caption_band(700, "", percent, None)
        blue = (band[-25:] == (104, 172, 255)).all(axis=-1).any(axis=0)
        assert blue.sum() == pytest.approx(percent / 100 * 670, abs=3)


def test_the_mark_tells_right_from_wrong_and_is_absent_when_unknown() -> None:
    def has(band: np.ndarray, colour: tuple[int, int, int]) -> bool:
        return bool((band == colour).all(axis=-1).any())

    right, wrong, unknown = (caption_band(700, "benign", 90, true) for true in ("benign", "malignant", None))
    assert has(right, (92, 214, 132))
    assert has(wrong, (255, 107, 98))
    assert not has(unknown, (92, 214, 132))
    assert not has(unknown, (255, 107, 98))


def test_long_strange_and_many_lined_labels_stay_inside() -> None:
    for label in ("x" * 500, "two\nlines", "乳癌", "\udcff", ""):
        band = caption_band(480, label, 50, label)
        assert band.shape[1] == 480
        assert (band[:, :5] == band[0, 0]).all()
        assert (band[:, -5:] == band[0, 0]).all()


def test_an_unsure_label_is_neither_right_nor_wrong() -> None:
    known, unknown = (caption_band(700, "unsure", 55, true, "malignant") for true in ("malignant", None))
    for colour in ((92, 214, 132), (255, 107, 98), (104, 172, 255)):
        assert not (known == colour).all(axis=-1).any()
    gray = (unknown[-25:] == (205, 205, 205)).all(axis=-1).any(axis=0)
    assert gray.sum() == pytest.approx(0.55 * 670, abs=3)
    assert (known != unknown).any(), "the true label is shown"


def test_flags_have_a_line_of_their_own() -> None:
    without = caption_band(700, "malignant", 97.3, "benign")
    flagged = caption_band(700, "malignant", 97.3, "benign", flags=("out_of_domain", "blurred"))
    assert flagged.shape[0] > without.shape[0]
    assert (flagged[: without.shape[0] - 20] == without[:-20]).all()
    below = flagged[without.shape[0] - 10 :]
    assert (below != below[0, 0]).any()
    drawn = draw_overlay(tissue(460, 700), None, label="a", percent=60.0, true_label=None, flags=("dark",))
    assert drawn.shape[0] > draw(tissue(460, 700), None).shape[0]


def test_the_bar_has_the_color_of_its_class() -> None:
    colours = class_colours(("benign", "malignant"), "malignant")
    for name, colour in colours.items():
        band = caption_band(700, name, 80.0, None, colour=on_dark(colour))
        assert (band == on_dark(colour)).all(axis=-1).sum() > 500
    assert (
        (
            draw_overlay(tissue(460, 700), None, label="a", percent=60, true_label=None, colour=colours["malignant"])
            == (on_dark(colours["malignant"]))
        )
        .all(axis=-1)
        .any()
    )


@pytest.mark.parametrize("threshold", [0.2, 0.65])
def test_the_threshold_is_a_tick_through_the_bar(threshold: float) -> None:
    plain, marked = (
        caption_band(700, "benign", 100.0, None, legend=Legend(threshold=at, model="m")) for at in (None, threshold)
    )
    bar = np.flatnonzero((plain == (104, 172, 255)).all(axis=-1).sum(axis=1) > 600)
    row = marked[bar[len(bar) // 2]]
    tick = np.flatnonzero((row == (245, 246, 248)).all(axis=-1))
    left = round(22 * 0.7)
    assert tick.mean() == pytest.approx(left + threshold * (700 - 2 * left), abs=2)


def test_a_line_below_the_bar_covers_the_probabilities_of_an_unsure_label() -> None:
    plain, marked = (caption_band(700, "benign", 99.0, None, legend=Legend(unsure=at)) for at in (None, (0.25, 0.5)))
    left, width = round(22 * 0.7), 700 - 2 * round(22 * 0.7)
    row = (marked == (205, 205, 205)).all(axis=-1).sum(axis=1).argmax()
    covered = np.flatnonzero((marked[row] == (205, 205, 205)).all(axis=-1))
    assert covered.min() == pytest.approx(left + 0.25 * width, abs=1)
    assert covered.max() == pytest.approx(left + 0.5 * width, abs=1)
    assert not (plain == (205, 205, 205)).all(axis=-1).any()


def test_a_legend_says_contour_threshold_model_and_scale() -> None:
    size = {}
    for name, legend in {
        "nothing": Legend(),
        "contour": Legend(contour="mask (unet)"),
        "everything": Legend(contour="mask (unet)", threshold=0.4, model="model", um_per_px=0.5),
    }.items():
        size[name] = draw_overlay(
            tissue(460, 700), disc(460, 100), label="a", percent=50, true_label=None, legend=legend
        )
    assert size["nothing"].shape[0] < size["contour"].shape[0] < size["everything"].shape[0]
    assert is_line(size["contour"][460:]).sum() > 40  # a sample of the line
    bars = (size["everything"][480:] == (245, 246, 248)).all(axis=-1).sum(axis=1)
    assert bars.max() == pytest.approx(50 / 0.5, abs=7)  # the longest round length in a quarter of 350 µm


def test_the_scale_bar_keeps_its_length_when_the_image_is_shrunk() -> None:
    legend = Legend(um_per_px=0.25)
    made = draw_overlay(tissue(3000, 4096), None, label="a", percent=50, true_label=None, legend=legend)
    bars = (made[1530:] == (245, 246, 248)).all(axis=-1).sum(axis=1)
    assert bars.max() == pytest.approx(200 / 0.5, abs=9)
