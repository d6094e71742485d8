"""Colour and texture against cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2hed

from cancernet_cli.classification.handcrafted import DISTANCES_PX, PROPERTIES, colour_features, texture_features
from tests.he_images import he_like


def property_means(image: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Each co-occurrence property at each distance, the mean over angles."""
    found = texture_features(image)[: 2 * len(PROPERTIES) * len(DISTANCES_PX)]
    return dict(zip(PROPERTIES, found.reshape(len(PROPERTIES), 2, -1)[:, 0], strict=True))


def grey(values: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)


def test_colours_are_means_and_deviations() -> None:
    image = he_like(3)
    found = colour_features(image)
    pixels = image.reshape(-1, 3) / 255
    np.testing.assert_allclose(found[:3], pixels.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found[3:6], pixels.std(axis=0), atol=1e-6)


def test_stains_are_those_of_scikit_image() -> None:
    """scikit-image takes natural logarithms and divides by -log(1e-6): a factor for all stains."""
    image = he_like(3)
    theirs = rgb2hed(image).reshape(-1, 3)
    kept = (theirs > 0).all(axis=1)  # it cuts off what is below 0
    assert kept.sum() > 100
    one_colour = np.broadcast_to(image.reshape(-1, 3)[kept][0], (4, 4, 3)).astype(np.uint8)
    found = colour_features(one_colour)
    np.testing.assert_allclose(found[6:9], theirs[kept][0] * 6, atol=2e-3)
    np.testing.assert_allclose(found[9:], 0, atol=1e-6)


def test_a_flat_image_has_no_contrast() -> None:
    means = property_means(grey(np.full((40, 40), 100)))
    np.testing.assert_allclose(means["contrast"], 0)
    np.testing.assert_allclose(means["homogeneity"], 1)
    np.testing.assert_allclose(means["energy"], 1)


def test_stripes_differ_across_and_not_along() -> None:
    """Black and white columns, one pixel wide: neighbours at distance 1 differ by 31 levels except along a column."""
    means = property_means(grey(np.tile([0, 255], (40, 20))))
    assert means["contrast"][0] == pytest.approx(31**2 * 3 / 4)
    # Two columns on it is the same colour again; two pixels along a diagonal round to one column.
    assert means["contrast"][1] == pytest.approx(31**2 * 2 / 4)


def test_patterns_are_two_histograms() -> None:
    patterns = texture_features(he_like(1))[2 * len(PROPERTIES) * len(DISTANCES_PX) :]
    assert len(patterns) == 10 + 18
    assert patterns[:10].sum() == pytest.approx(1)
    assert patterns[10:].sum() == pytest.approx(1)


def test_a_turned_image_has_the_same_texture() -> None:
    image = he_like(2, 64, 64)
    np.testing.assert_allclose(texture_features(image), texture_features(np.rot90(image).copy()), atol=0.02)


@pytest.mark.parametrize("shape", [(16, 16), (17, 2000), (900, 1300)])
def test_any_size_gives_as_many_numbers(shape: tuple[int, int]) -> None:
    image = he_like(0, shape[1], shape[0])
    assert texture_features(image).shape == (76,)
    assert np.isfinite(texture_features(image)).all()
    assert np.isfinite(colour_features(image)).all()
