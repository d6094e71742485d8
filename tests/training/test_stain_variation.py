"""Stain vectors against the ones an image was made of, and what a change of stain leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from cancernet_cli.core.pixels import STAINS, UNMIX
from cancernet_cli.training.stain_variation import macenko_basis, restained, stain_change
from tests.he_images import he_like


def stained_by(vectors: np.ndarray, seed: int = 0) -> np.ndarray:
    """An image `[64, 64, 3]` uint8 whose pixels hold random amounts of two stains, some of them one stain alone."""
    rng = np.random.default_rng(seed)
    amounts = rng.uniform(0.1, 1.2, (64 * 64, 2))
    amounts[: 64 * 10, 1] = 0
    amounts[64 * 10 : 64 * 20, 0] = 0
    return np.rint(255 * 10 ** -(amounts @ vectors)).astype(np.uint8).reshape(64, 64, 3)


@pytest.mark.parametrize("turned", [0.0, 0.15])
def test_finds_the_stains_that_the_image_was_made_of(turned: float) -> None:
    vectors = STAINS[:2] + turned * np.array([[0.0, -0.5, 1.0], [1.0, 0.0, 0.5]])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    basis = macenko_basis(stained_by(vectors))
    assert basis is not None
    angles = np.degrees(np.arccos((basis[:2] * vectors).sum(axis=1).clip(-1, 1)))
    assert angles.max() < 6  # the method leaves out the palest pixels, of eosin alone
    np.testing.assert_allclose(basis[2] @ basis[:2].T, 0, atol=1e-9)


@pytest.mark.parametrize(
    "image",
    [
        np.full((32, 32, 3), 255, np.uint8),
        np.full((32, 32, 3), (120, 60, 150), np.uint8),
        np.zeros((32, 32, 3), np.uint8),
        np.repeat(np.random.default_rng(0).integers(0, 255, (32, 32, 1), dtype=np.uint8), 3, axis=2),
    ],
    ids=["glass", "one colour", "black", "grey"],
)
def test_an_image_without_two_stains_falls_back_on_the_published_ones(image: np.ndarray) -> None:
    assert macenko_basis(image) is None
    own, published = (stain_change(image, 0.3, 0.2, np.random.default_rng(1), own=own) for own in (True, False))
    np.testing.assert_array_equal(own, published)


def test_a_few_stained_pixels_are_too_few() -> None:
    image = np.full((64, 64, 3), 245, np.uint8)
    image[:5, :5] = stained_by(STAINS[:2])[:5, :5]
    assert macenko_basis(image) is None


def test_a_change_multiplies_the_amounts_of_the_stains() -> None:
    image = he_like(3)
    change = UNMIX @ np.diag([1.2, 0.8, 1.0]) @ STAINS
    again = restained(image, change)
    inside = ((again > 15) & (again < 250) & (image > 15)).all(axis=2)  # neither rounding nor clipping matters there
    before, after = (-np.log10(pixels[inside] / 255) @ UNMIX for pixels in (image, again))
    assert inside.mean() > 0.3
    np.testing.assert_allclose(after, before * (1.2, 0.8, 1.0), atol=0.03)


def test_restaining_keeps_white_white_and_makes_no_new_numbers() -> None:
    white = np.full((4, 4, 3), 255, np.uint8)
    for seed in range(5):
        change = stain_change(white, 0.35, 0.25, np.random.default_rng(seed), own=False)
        assert restained(white, change).min() >= 254
        assert restained(np.zeros((4, 4, 3), np.uint8), change).dtype == np.uint8
