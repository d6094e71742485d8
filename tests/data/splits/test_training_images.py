"""Training images are recognized from their hashes, and other images of the same tissue are not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cancernet_cli.core.errors import ModelError
from cancernet_cli.data.readers import read_image
from cancernet_cli.data.splits.duplicates import fingerprint
from cancernet_cli.data.splits.picture_hash import distance, hash_bits, sketch, thumbnail
from cancernet_cli.data.splits.training_images import HASHES_FILE, TrainingImages, slide_hash
from tests.data.splits.test_duplicates import COPIES, jpeg
from tests.he_images import he_like

FIELDS = [he_like(seed, 280, 184) for seed in range(6)]
GLASS = np.full((184, 280, 3), 240, np.uint8)


@pytest.fixture(scope="module")
def known() -> TrainingImages:
    return TrainingImages.of([fingerprint(one) for one in (*FIELDS[:3], GLASS)])


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_of_a_training_image_is_recognized(known: TrainingImages, copy: str) -> None:
    assert known.has(FIELDS[1].copy())
    assert known.has(np.ascontiguousarray(COPIES[copy](FIELDS[1])))


def test_other_fields_are_not(known: TrainingImages) -> None:
    assert not any(known.has(one) for one in FIELDS[3:])


def test_glass_is_recognized_by_its_pixels_only(known: TrainingImages) -> None:
    assert len(known.near) == 3
    assert known.has(GLASS)
    assert not known.has(np.full_like(GLASS, 238))
    assert not known.has(GLASS[:-1])


def test_nothing_is_recognized_without_training_images() -> None:
    assert not TrainingImages.of([]).has(FIELDS[0])


def test_a_file_holds_the_same_bytes_whatever_the_order(known: TrainingImages, tmp_path: Path) -> None:
    for name, rows in (("one", (0, 1, 2)), ("two", (2, 0, 1))):
        TrainingImages.of([fingerprint(FIELDS[row]) for row in rows]).write(tmp_path / name)
    one, two = ((tmp_path / name / HASHES_FILE).read_bytes() for name in ("one", "two"))
    assert one == two
    back = TrainingImages.read(tmp_path / "one")
    assert back is not None
    assert back.has(jpeg(FIELDS[2], 60))
    assert not back.has(FIELDS[4])


def test_717_images_take_less_than_50_kb(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    TrainingImages(frozenset(random.bytes(8) for _ in range(717)), random.integers(0, 256, (717, 32), np.uint8)).write(
        tmp_path
    )
    assert (tmp_path / HASHES_FILE).stat().st_size < 30_000


def test_a_model_without_the_file_knows_nothing_and_a_damaged_one_is_an_error(tmp_path: Path) -> None:
    assert TrainingImages.read(tmp_path) is None
    (tmp_path / HASHES_FILE).write_bytes(b"not safetensors")
    with pytest.raises(ModelError, match="cannot be read"):
        TrainingImages.read(tmp_path)


def test_a_slide_is_recognized_by_its_thumbnail() -> None:
    slides = []
    for seed in range(2):
        slides.append(np.full((600, 900, 3), 243, np.uint8))
        slides[-1][200:400, 300:650] = he_like(seed, 350, 200)
    known = TrainingImages.of([], [slide_hash(slides[0])])
    assert known.has(slides[0])
    assert known.has(jpeg(slides[0], 80))
    assert not known.has(slides[1])


def test_the_hash_of_an_orientation_is_that_of_the_turned_picture() -> None:
    square = he_like(3, 256, 256)
    hashes = hash_bits(thumbnail(square))
    for turn, turned in enumerate((square, square[:, ::-1], square[::-1], square[::-1, ::-1])):
        found = hash_bits(thumbnail(np.ascontiguousarray(turned)))[0]
        assert distance(hashes[turn], found) <= 2, "equal but for rounding"
    assert distance(hashes[0], hashes[4]) > 80


def test_a_sketch_differs_with_pixels_and_size() -> None:
    one = FIELDS[0]
    assert sketch(one, thumbnail(one)) == sketch(one.copy(), thumbnail(one))
    for other in (FIELDS[1], jpeg(one, 50), one[:-1]):
        assert sketch(one, thumbnail(one)) != sketch(other, thumbnail(other))


@pytest.mark.slow
def test_no_real_field_is_mistaken_for_one_of_another_case(real_data: Path) -> None:
    paths = sorted((real_data / "breakhis").glob("*/*.jpg"))
    cases = np.array([path.name.split("-")[2].rstrip("ABCDEFGHIJ") for path in paths])
    images = [read_image(os.fsencode(path), max_pixels=10**7) for path in paths]
    for case in np.unique(cases)[::4].tolist():
        rows = np.flatnonzero(cases == case)
        known = TrainingImages.of([fingerprint(images[row]) for row in rows])
        assert all(known.has(jpeg(images[row], 70)) for row in rows)
        others = np.flatnonzero(cases != case)
        assert not any(known.has(images[row]) for row in others.tolist())
