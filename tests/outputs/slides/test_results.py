"""A slide's classified tiles: what fits, where they end, what maps show of them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tile_cases import overlapping, results


def test_tiles_end_at_the_slide() -> None:
    tiles = overlapping()
    assert tiles.right.tolist() == [40, 60, 40, 100, 100]
    assert tiles.bottom.tolist() == [40, 40, 60, 40, 60]
    assert tiles.failed.tolist() == [False, False, True, False, True]


def test_two_classes_show_the_positive_one() -> None:
    tiles = overlapping()
    assert tiles.shown == "probability of malignant"
    np.testing.assert_array_equal(tiles.values, np.float32([0.75, 0.25, np.nan, 1, np.nan]))


def test_more_classes_show_the_likeliest() -> None:
    probs = np.float32([[0.2, 0.5, 0.3], [0.7, 0.2, 0.1], [np.nan, np.nan, np.nan]])
    three = {"probs": probs, "labels": ["b", "a", None], "classes": ("a", "b", "c"), "positive": ""}
    tiles = results([(0, 0), (40, 0), (0, 40)], [0, 0, 0], **three)
    assert tiles.shown == "probability of the most likely class"
    np.testing.assert_array_equal(tiles.values, np.float32([0.5, 0.7, np.nan]))


def test_no_tiles() -> None:
    tiles = results([], [])
    assert len(tiles) == 0
    assert tiles.values.shape == tiles.failed.shape == tiles.right.shape == (0,)


@pytest.mark.parametrize("place", [(100, 0), (0, 60), (-1, 0)])
def test_a_tile_outside_is_refused(place: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"is outside the slide of 100 x 60 px"):
        results([(0, 0), place], [0.5, 0.5])


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="1 places, probabilities of shape"):
        results([(0, 0)], [0.5, 0.5])


def test_a_failed_tile_has_no_label() -> None:
    with pytest.raises(ValueError, match="neither probabilities nor a label"):
        results([(0, 0)], [float("nan")], labels=["benign"])
