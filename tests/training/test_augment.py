"""Variants of images: masks go along, seeds repeat, colours stay plausible."""

from __future__ import annotations

import numpy as np

from cancernet_cli.training.augment import AugmentPolicy, random_crop, rescaled, restain
from tests.he_images import he_like

STILL = AugmentPolicy(zoom=(1.0, 1.0), stain=0.0, light=0.0, blur=0.0)


def test_the_mask_goes_where_its_pixels_go() -> None:
    mask = np.zeros((80, 100), np.uint8)
    mask[20:60, 30:80] = 255
    image = np.repeat(mask[:, :, None], 3, axis=2)
    policy = AugmentPolicy(stain=0.0, light=0.0, blur=0.0)
    for seed in range(10):
        crop, inside = random_crop(image, mask, 64, policy, np.random.default_rng(seed))
        assert crop.shape == (64, 64, 3)
        assert set(np.unique(inside)) <= {0, 255}
        assert ((crop[..., 0] >= 128) == (inside > 0)).mean() > 0.999


def test_the_same_seed_gives_the_same_crop() -> None:
    image, mask = he_like(0), np.zeros((90, 120), np.uint8)
    first, second = (random_crop(image, mask, 48, AugmentPolicy(), np.random.default_rng(7))[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_restaining_by_nothing_changes_nothing_but_rounding() -> None:
    image = he_like(1)
    again = restain(image, STILL, np.random.default_rng(0))
    assert np.abs(again.astype(int) - image).max() <= 1


def test_restaining_keeps_white_white() -> None:
    white = np.full((4, 4, 3), 255, np.uint8)
    assert restain(white, AugmentPolicy(), np.random.default_rng(0)).min() >= 254


def test_rescaling_stays_within_its_range() -> None:
    for seed in range(10):
        height, width = rescaled(he_like(0), AugmentPolicy(zoom=(0.8, 1.25)), np.random.default_rng(seed)).shape[:2]
        assert 72 <= height <= 113
        assert 96 <= width <= 150
