"""Resizing: area averages where nothing grows, interpolation where something does."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from cancernet_cli.core.pixels import resize, resize_fast, size_within
from tests.he_images import he_like


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((60, 40), cv2.INTER_AREA),
        ((120, 40), cv2.INTER_AREA),  # one side stays
        ((121, 40), cv2.INTER_CUBIC),
        ((240, 160), cv2.INTER_CUBIC),
    ],
)
def test_resize_averages_areas_unless_a_side_grows(size: tuple[int, int], expected: int) -> None:
    image = he_like(0, 120, 80)
    np.testing.assert_array_equal(
        resize(image, *size, enlarge="cubic"), cv2.resize(image, size, interpolation=expected)
    )


def test_nothing_is_copied_where_the_size_stays() -> None:
    image = he_like(0, 120, 80)
    assert resize(image, 120, 80, enlarge="linear") is image
    assert resize_fast(image, 120, 80, enlarge="linear") is image


def test_fast_is_linear_down_to_half_and_averages_areas_below() -> None:
    image = he_like(0, 120, 80)
    for size in ((100, 70), (60, 40), (120, 60)):
        linear = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(resize_fast(image, *size, enlarge="cubic"), linear)
    area = cv2.resize(image, (30, 20), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(resize_fast(image, 30, 20, enlarge="cubic"), area)
    cubic = cv2.resize(image, (150, 90), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(resize_fast(image, 150, 90, enlarge="cubic"), cubic)


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [
        ((700, 460), 350, (350, 230)),
        ((460, 700), 350, (230, 350)),
        ((30, 20), 350, (30, 20)),
        ((5000, 2), 100, (100, 1)),
    ],
)
def test_size_within(size: tuple[int, int], longest: int, expected: tuple[int, int]) -> None:
    assert size_within(*size, longest) == expected
