import cv2
import numpy as np
import pytest

from cancernet_cli.data.loading.quality import quality
from tests.he_images import he_like


def test_blurring_lowers_the_blur_figure() -> None:
    image = he_like(0, 500, 400)
    sharp, soft, softer = (
        quality(picture).blur
        for picture in (image, cv2.GaussianBlur(image, (0, 0), 1), cv2.GaussianBlur(image, (0, 0), 3))
    )
    assert sharp > 3 * soft > 9 * softer


def test_the_blur_figure_is_the_variance_of_the_laplacian() -> None:
    # One white pixel on black: its Laplacian is -4 there and 1 at its four neighbours, times 255
    image = np.zeros((20, 20, 3), np.uint8)
    image[10, 10] = 255
    laplacian = np.zeros(400)
    laplacian[:5] = [-4 * 255, 255, 255, 255, 255]
    assert quality(image).blur == pytest.approx(laplacian.var())


@pytest.mark.parametrize(
    ("colour", "fraction"),
    [
        ((255, 255, 255), 0.0),  # glass
        ((225, 232, 224), 0.0),  # glass under a greenish lamp
        ((205, 205, 200), 0.0),  # glass, underexposed
        ((0, 0, 0), 0.0),  # a margin
        ((231, 178, 208), 1.0),  # eosin
        ((95, 60, 140), 1.0),  # haematoxylin
        ((150, 140, 165), 1.0),  # greyish stroma
    ],
)
def test_fields_of_one_colour(colour: tuple[int, int, int], fraction: float) -> None:
    image = np.full((460, 700, 3), colour, np.uint8)
    noise = np.random.default_rng(0).integers(-3, 4, image.shape)
    assert quality(np.clip(image + noise, 0, 255).astype(np.uint8)).tissue_fraction == fraction


def test_half_tissue_half_glass() -> None:
    image = np.full((460, 700, 3), 245, np.uint8)
    image[:, :350] = (200, 120, 180)
    assert quality(image).tissue_fraction == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("shape", [(16, 16), (16, 3000), (3000, 16), (2049, 1537)])
def test_odd_sizes(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), (200, 120, 180), np.uint8)
    assert quality(image).tissue_fraction == 1.0
    assert quality(image).blur == 0.0
