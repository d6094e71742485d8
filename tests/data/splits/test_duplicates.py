"""The same picture under two names is found, another field of the same tissue is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.data.readers import read_image
from cancernet_cli.data.splits import duplicates
from cancernet_cli.data.splits.duplicates import MAX_DISTANCE_BITS, Fingerprint, fingerprint, same_pictures
from cancernet_cli.data.splits.picture_hash import thumbnail
from tests.he_images import he_like

FIELDS = [he_like(seed, 280, 184) for seed in range(6)]


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def resized(pixels: Pixels, factor: float) -> Pixels:
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)


COPIES: dict[str, Callable[[Pixels], Pixels]] = {
    "jpeg 30": lambda p: jpeg(p, 30),
    "x 0.71": lambda p: resized(p, 0.71),
    "x 0.71, jpeg 75": lambda p: jpeg(resized(p, 0.71), 75),
    "x 2": lambda p: resized(p, 2),
    "squeezed": lambda p: cv2.resize(p, (224, 224), interpolation=cv2.INTER_AREA),
    "cropped": lambda p: p[2:-2],
    "brighter": lambda p: np.clip(p * 1.1, 0, 255).astype(np.uint8),
    "mirrored": lambda p: p[:, ::-1],
    "upside down, jpeg 75": lambda p: jpeg(np.ascontiguousarray(p[::-1]), 75),
    "a quarter turn": lambda p: np.rot90(p),
    "a quarter turn back, x 0.71": lambda p: resized(np.ascontiguousarray(np.rot90(p, -1)), 0.71),
    "mirrored across": lambda p: p.swapaxes(0, 1),
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_is_found_among_other_fields(copy: str) -> None:
    prints = [fingerprint(one) for one in [*FIELDS, np.ascontiguousarray(COPIES[copy](FIELDS[2]))]]
    found = same_pictures(prints)
    assert found.near.tolist() == [0, 1, 2, 3, 4, 5, 2]
    assert found.exact.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_equal_pixels_are_told_from_a_copy() -> None:
    prints = [fingerprint(one) for one in (FIELDS[0], FIELDS[1], FIELDS[1].copy(), jpeg(FIELDS[1], 80), FIELDS[0])]
    found = same_pictures(prints)
    assert found.exact.tolist() == [0, 1, 1, 3, 0]
    assert found.near.tolist() == [0, 1, 1, 1, 0]


def test_equal_bytes_in_another_shape_are_another_picture() -> None:
    tall = FIELDS[0].reshape(280, 184, 3)
    assert fingerprint(FIELDS[0]).digest != fingerprint(tall).digest


def test_the_hash_is_imagehashs() -> None:
    expected = imagehash.phash(Image.fromarray(thumbnail(FIELDS[0])), hash_size=16, highfreq_factor=4).hash
    assert np.array_equal(np.unpackbits(fingerprint(FIELDS[0]).hashes[0]), expected.ravel())


def test_empty_fields_are_no_ones_duplicates() -> None:
    """Glass is alike in every patient: white, with uneven light and noise, with a cell in its corner."""
    glass = np.full((184, 280, 3), 240, np.uint8)
    light = np.linspace(200, 245, 280)[None, :, None] + np.random.default_rng(0).normal(0, 2, (184, 280, 3))
    cell = cv2.circle(glass.copy(), (280, 184), 25, (90, 60, 110), -1)
    prints = [fingerprint(np.asarray(one, np.uint8)) for one in (glass, glass, light, light, cell, cell[:, ::-1])]
    assert same_pictures(prints).near.tolist() == [0, 1, 2, 3, 4, 5]


def test_hundreds_of_nearly_the_same_picture_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the frames of a film; joined a few at a time, so that memory does not grow with their pairs."""
    monkeypatch.setattr(duplicates, "_MEETINGS", 500)
    monkeypatch.setattr(duplicates, "_CHUNK", 100)
    noise = np.random.default_rng(0).normal(0, 6, (150, 184, 280, 1))
    prints = [fingerprint(np.clip(FIELDS[i % 3] + noise[i], 0, 255).astype(np.uint8)) for i in range(150)]
    found = same_pictures(prints)
    assert found.near.tolist() == [0, 1, 2] * 50
    assert found.exact.tolist() == list(range(150))


def test_files_that_could_not_be_read_stand_for_themselves() -> None:
    one = fingerprint(FIELDS[0])
    assert same_pictures([None, one, None, one]).near.tolist() == [0, 1, 2, 1]
    assert same_pictures([]).near.tolist() == []


def with_bits_flipped(one: Fingerprint, bits: int, seed: int) -> Fingerprint:
    rows = np.unpackbits(one.hashes, axis=1)
    rows[:, np.random.default_rng(seed).choice(256, bits, replace=False)] ^= 1
    return Fingerprint(bytes([bits, seed]), np.packbits(rows, axis=1), one.look)


@pytest.mark.parametrize("bits", [1, 15, 24, 32])
def test_the_bands_find_what_comparing_all_pairs_would(bits: int) -> None:
    one = fingerprint(FIELDS[0])
    assert all(same_pictures([one, with_bits_flipped(one, bits, seed)]).near.tolist() == [0, 0] for seed in range(6))


def test_hashes_further_apart_are_not_looked_at() -> None:
    one = fingerprint(FIELDS[0])
    apart = with_bits_flipped(one, MAX_DISTANCE_BITS + 1, 0)
    assert same_pictures([one, apart]).near.tolist() == [0, 1]


def test_equal_hashes_of_other_detail_are_told_apart() -> None:
    one, other = fingerprint(FIELDS[0]), fingerprint(FIELDS[1])
    assert same_pictures([one, Fingerprint(b"other", one.hashes, other.look)]).near.tolist() == [0, 1]


@pytest.mark.slow
def test_ten_thousand_are_searched_in_seconds() -> None:
    random = np.random.default_rng(0)
    look = fingerprint(FIELDS[0]).look
    prints = [Fingerprint(random.bytes(8), random.integers(0, 256, (8, 32), np.uint8), look) for _ in range(10_000)]
    prints[7_000] = with_bits_flipped(prints[100], 24, 0)
    near = same_pictures(prints).near
    assert near[7_000] == 100
    assert len(np.unique(near)) == 9_999


@pytest.mark.slow
def test_real_fields_are_their_own_copies_and_no_ones_else(real_data: Path) -> None:
    """Fields as JPEG, two of each case also as the original PNG."""
    files = sorted([*real_data.glob("breakhis/*/*.jpg"), *real_data.glob("breakhis_png/*/*.png")])
    prints = [fingerprint(read_image(os.fsencode(file), max_pixels=10**8)) for file in files]
    near = same_pictures(prints).near
    for number in np.unique(near):
        assert len({files[row].stem for row in np.flatnonzero(near == number)}) == 1
    assert len(np.unique(near)) == len({file.stem for file in files})
