"""What every slide reader promises."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cancernet_cli.data.signatures import has_signature
from cancernet_cli.data.slides import Slide, UnreadableSlide, open_slide
from cancernet_cli.data.slides.base import slide_readers
from tests.dicom_files import write_dicom
from tests.slide_files import marked, write_ome, write_tiled

NAMES = slide_readers.names()
# For each entry a function that writes a lossless slide in a format that it opens.
WRITERS: dict[str, Callable[[Path, NDArray[np.uint8]], object]] = {
    "openslide": write_tiled, "tifffile": write_ome, "dicom": write_dicom
}  # fmt: skip
PICTURE = marked(701, 533)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(name: str, tmp_path: Path) -> Path:
    path = tmp_path / "slide.tif"
    WRITERS[name](path, PICTURE)
    return path


@pytest.fixture
def slide(name: str, path: Path) -> Any:
    reader = slide_readers[name].factory()
    assert reader.takes(os.fsencode(path))
    opened = reader.open(os.fsencode(path))
    yield opened
    opened.close()


def test_levels_are_sorted_and_start_at_full_size(slide: Slide) -> None:
    first = slide.levels[0]
    assert (first.width_px, first.height_px, first.downsample) == (701, 533, 1.0)
    assert [level.downsample for level in slide.levels] == sorted(level.downsample for level in slide.levels)
    assert slide.vendor
    assert slide.scan_origin == (0, 0)


@pytest.mark.parametrize(
    ("x", "y", "width_px", "height_px"),
    [(0, 0, 701, 533), (250, 250, 17, 33), (255, 1, 1, 1), (-20, -30, 60, 50), (680, 500, 100, 100), (900, 10, 5, 7)],
)
def test_a_region_has_its_pixels_and_is_white_outside(
    slide: Slide, x: int, y: int, width_px: int, height_px: int
) -> None:
    found = slide.read_level(0, x, y, width_px, height_px)
    margin = 1000
    whole = np.pad(PICTURE, ((margin, margin), (margin, margin), (0, 0)), constant_values=255)
    expected = whole[y + margin : y + margin + height_px, x + margin : x + margin + width_px]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


def test_every_level_can_be_read_to_its_corner(slide: Slide) -> None:
    for index, level in enumerate(slide.levels):
        found = slide.read_level(index, level.width_px - 3, level.height_px - 2, 3, 2)
        assert found.shape == (2, 3, 3)
        assert slide.is_exact(index) in (True, False)


@pytest.mark.parametrize("kept", [0.01, 0.4, 0.95])
def test_a_truncated_slide_does_not_open(path: Path, kept: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(UnreadableSlide) as caught:
        open_slide(os.fsencode(path))
    assert caught.value.failure.stage == "open"
    assert caught.value.failure.message


def test_other_files_are_not_taken(name: str, tmp_path: Path) -> None:
    takes = slide_readers[name].factory().takes
    (tmp_path / "noise.svs").write_bytes(b"noise" * 100)
    assert not takes(os.fsencode(tmp_path / "noise.svs"))
    assert not takes(os.fsencode(tmp_path / "missing.svs"))
    assert not takes(os.fsencode(tmp_path))


def test_facts_match_its_files(name: str, path: Path) -> None:
    facts = slide_readers[name].facts
    assert has_signature(path.read_bytes()[:200], facts["signatures"])
    assert set(facts.get("index_endings", ())) <= set(facts["endings"])
    assert all(ending.startswith(".") and ending == ending.lower() for ending in facts["endings"])
