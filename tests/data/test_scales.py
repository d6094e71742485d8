"""The scale of an image by its magnification or resolution."""

from __future__ import annotations

import pytest

from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.records import Truth
from cancernet_cli.data.scales import image_policy, pixel_sizes, scale_of
from cancernet_cli.data.tiles.target_mpp import target_mpp

POLICY = InputPolicy(
    view="grid",
    scale=0.3,
    scales={"40": 1.0, "100": 0.5, "400": 0.25},
    magnification_mpp={"40": 1.6, "100": 0.64, "400": 0.16},
)


@pytest.mark.parametrize(
    ("magnification", "scale"),
    [
        (40, 1.0),
        (100, 0.5),
        (400, 0.25),
        (200, 0.125**0.5),  # halfway between 100 and 400 on a logarithmic axis: the geometric mean of their scales
        (20, 2.0),  # beyond the first one: half the magnification, twice the scale
        (1000, 0.1),
        (2, 4.0),  # no image is enlarged more
        (40_000, 0.05),
    ],
)
def test_the_magnification_decides(magnification: float, scale: float) -> None:
    assert scale_of(POLICY, Truth(magnification=magnification)) == pytest.approx(scale)
    assert image_policy(POLICY, Truth(magnification=magnification)).scale == pytest.approx(scale)


@pytest.mark.parametrize(("mpp", "scale"), [(1.6, 1.0), (0.64, 0.5), (0.32, 0.125**0.5), (3.2, 2.0), (0.08, 0.125)])
def test_a_known_resolution_goes_before_the_magnification(mpp: float, scale: float) -> None:
    """A scanner's 40x has not the pixels of a camera's 40X."""
    assert scale_of(POLICY, Truth(magnification=40, mpp=mpp)) == pytest.approx(scale)


def test_the_scale_of_the_card_is_for_the_rest() -> None:
    assert scale_of(POLICY, Truth()) is None
    assert image_policy(POLICY, Truth()) == POLICY
    plain = InputPolicy(view="grid", scale=0.5)
    assert scale_of(plain, Truth(magnification=400, mpp=0.05)) == 0.5
    assert image_policy(plain, Truth(magnification=400)) is plain


def test_slides_are_cut_at_the_resolution_of_the_views_nearest_to_a_half_um() -> None:
    found = target_mpp(POLICY)  # 1.6, 1.28 and 0.64 um
    assert (found.mpp, found.remark) == (0.64, "")


def test_a_scanner_s_magnifications_are_told_from_breakhis() -> None:
    assert pixel_sizes([20, 40]) == {20: 0.5, 40: 0.25}
    assert pixel_sizes([40, 400]) == {40: 1.625, 400: 0.1625}
