"""Variants of images: masks go along, seeds repeat, chances hold, colours stay plausible."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from cancernet_cli.training import augment
from cancernet_cli.training.augment import AugmentPolicy, compressed, random_crop, random_view, rescaled, restain
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


def test_a_view_that_is_not_zoomed_has_the_pixels_of_the_image() -> None:
    image = np.full((60, 90, 3), 50, np.uint8)
    image[..., :2] += np.moveaxis(np.mgrid[:60, :90], 0, 2).astype(np.uint8)  # every pixel knows where it came from
    turns = set()
    for seed in range(100):
        view = random_view(image, 48, 32, STILL, np.random.default_rng(seed)).astype(int)
        assert view.shape == (32, 48, 3)
        down, right = view[1:, :, :2] - view[:-1, :, :2], view[:, 1:, :2] - view[:, :-1, :2]
        steps = (tuple(np.unique(d.reshape(-1, 2), axis=0).ravel()) for d in (down, right))
        turns.add(tuple(steps))
    assert len(turns) == 8  # four turns, each flipped or not, and nothing in between


@pytest.mark.parametrize("size", [(48, 32), (64, 64), (90, 60)])
def test_a_view_fits_into_images_that_are_hardly_larger(size: tuple[int, int]) -> None:
    policy = replace(STILL, zoom=(0.4, 2.5))
    for seed in range(30):
        image = he_like(seed, 90, 64)
        assert random_view(image, *size, policy, np.random.default_rng(seed)).shape == (size[1], size[0], 3)


def test_a_small_image_is_mirrored_when_it_is_zoomed_out() -> None:
    """At half the size, the view's middle is the whole image, and its borders are the image again, mirrored."""
    image = he_like(0, 64, 64)
    half = np.asarray(cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA))
    border = np.pad(half, ((16, 16), (16, 16), (0, 0)), mode="symmetric")
    policy = replace(STILL, zoom=(0.5, 0.5), mirror=True)
    for seed in range(20):
        view = random_view(image, 64, 64, policy, np.random.default_rng(seed)).astype(int)
        turned = (np.rot90(flipped, k) for k in range(4) for flipped in (border, border[:, ::-1]))
        assert min(np.abs(view - one).max() for one in turned) <= 1


def test_mirroring_changes_nothing_where_the_view_fits() -> None:
    for seed in range(10):
        image, rngs = he_like(seed, 150, 140), [np.random.default_rng(seed) for _ in range(2)]
        policy = replace(STILL, zoom=(0.6, 1.6))
        views = [
            random_view(image, 48, 64, replace(policy, mirror=m), rng)
            for m, rng in zip((False, True), rngs, strict=True)
        ]
        np.testing.assert_array_equal(*views)


@pytest.mark.parametrize("name", ["jpeg", "blur", "own_stain", "zoom"])
def test_variants_go_there_as_often_as_the_policy_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    spied = {"jpeg": "compressed", "own_stain": "stain_change"}.get(name)
    if spied:
        original = getattr(augment, spied)

        def spy(*args: object, **kwargs: object) -> object:
            seen.append(kwargs.get("own", True))
            return original(*args, **kwargs)

        monkeypatch.setattr(augment, spied, spy)
    policy = replace(STILL, zoom=(1.5, 1.5), zoom_chance=0.0, blur=3.0, blur_chance=0.0)
    policy = replace(policy, **{f"{name}_chance": 0.25})
    image = he_like(0)
    changed = []
    for seed in range(200):
        view = random_view(image, 32, 32, policy, np.random.default_rng(seed))
        still = random_view(image, 32, 32, replace(policy, **{f"{name}_chance": 0.0}), np.random.default_rng(seed))
        changed.append(np.abs(view.astype(int) - still).max() > 2)
    count = sum(map(bool, seen)) if spied else sum(changed)
    assert 30 <= count <= 70


def test_restaining_by_nothing_changes_nothing_but_rounding() -> None:
    image = he_like(1)
    for own in (0.0, 1.0):
        again = restain(image, replace(STILL, own_stain_chance=own), np.random.default_rng(0))
        assert np.abs(again.astype(int) - image).max() <= 1


def test_compression_is_milder_at_a_higher_quality() -> None:
    image = he_like(2)
    apart = [np.abs(compressed(image, quality).astype(int) - image).mean() for quality in (30, 60, 95)]
    assert apart[0] > apart[1] > apart[2] > 0
    assert apart[0] < 20


def test_rescaling_stays_within_its_range() -> None:
    for seed in range(10):
        height, width = rescaled(he_like(0), AugmentPolicy(zoom=(0.8, 1.25)), np.random.default_rng(seed)).shape[:2]
        assert 72 <= height <= 113
        assert 96 <= width <= 150
