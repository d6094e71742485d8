"""Generated images are reproducible and realistic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cancernet_cli.data.readers import read_image
from cancernet_cli.engine.bench.synthetic_images import DIFFERENT, field, write_fields


@pytest.mark.parametrize("image_format", ["png", "jpeg", "tiff"])
def test_generated_files_are_readable_and_reproducible(tmp_path: Path, image_format: str) -> None:
    first = write_fields(tmp_path / "a", 2, 90, 60, image_format)
    again = write_fields(tmp_path / "b", 2, 90, 60, image_format)
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    assert first[0].read_bytes() != first[1].read_bytes()
    image = read_image(bytes(first[0]), max_pixels=10_000)
    assert image.shape == (60, 90, 3)
    if image_format != "jpeg":
        assert np.array_equal(image, field(0, 90, 60))


def test_many_files_are_few_distinct_images(tmp_path: Path) -> None:
    paths = write_fields(tmp_path, DIFFERENT + 2, 32, 24, "png")
    assert len(paths) == len(list(tmp_path.iterdir())) == DIFFERENT + 2
    assert paths[-1].read_bytes() == paths[1].read_bytes()


def test_a_generated_png_is_as_hard_to_decode_as_breakhis(tmp_path: Path) -> None:
    """BreakHis files of 700 x 460 pixels have 580 kB on average."""
    (path,) = write_fields(tmp_path, 1, 700, 460, "png")
    assert 450_000 < path.stat().st_size < 700_000
