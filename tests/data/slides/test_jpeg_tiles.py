"""JPEG tiles that are decoded as they lie in the file have the pixels that OpenSlide shows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tifffile

from cancernet_cli.data.slides import UnreadableSlide, open_slide
from cancernet_cli.data.slides.jpeg_tiles import open_jpeg_tiles
from cancernet_cli.data.slides.openslide_slide import OpenSlideSlide
from tests.he_images import he_like
from tests.slide_files import levels_of, real_slide, write_svs, write_tiled

PICTURE = he_like(0, 1000, 760)


def write_jpegs(path: Path, **options: Any) -> None:
    """A pyramid of JPEG tiles, a level and one four times smaller, whose sides divide."""
    given: dict[str, Any] = {"photometric": "rgb", "compression": "jpeg", "tile": (256, 256), "metadata": None}
    with tifffile.TiffWriter(path, bigtiff=options.pop("bigtiff", False)) as file:
        for i, level in enumerate((PICTURE, *levels_of(PICTURE, (4,)))):
            file.write(level, subfiletype=min(i, 1), **(given | options))


def opened(path: Path) -> OpenSlideSlide:
    slide = open_slide(os.fsencode(path))
    assert isinstance(slide, OpenSlideSlide)
    return slide


def directly(slide: OpenSlideSlide) -> list[int]:
    """The levels whose tiles are decoded as they lie."""
    return [i for i in range(len(slide.levels)) if slide._jpeg is not None and i in slide._jpeg]


def assert_same_as_openslide(path: Path, slide: OpenSlideSlide, levels: list[int]) -> None:
    random = np.random.default_rng(0)
    with openslide.OpenSlide(path) as other:
        for level in levels:
            across, down = other.level_dimensions[level]
            scale = round(other.level_downsamples[level])
            for _ in range(30):
                width, height = (int(side) for side in random.integers(1, 400, 2))
                x, y = int(random.integers(-50, across + 20)), int(random.integers(-50, down + 20))
                shown = np.asarray(other.read_region((x * scale, y * scale), level, (width, height)))
                expected = np.where(shown[..., 3:] == 0, np.uint8(255), shown[..., :3])
                np.testing.assert_array_equal(slide.read_level(level, x, y, width, height), expected)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"photometric": "ycbcr", "subsampling": (2, 2)},
        {"photometric": "ycbcr", "subsampling": (2, 1), "tile": (240, 160)},
        {"compressionargs": {"level": 95}, "bigtiff": True},
    ],
    ids=["rgb", "4:2:0", "4:2:2, tiles that are no squares", "BigTIFF"],
)
def test_pixels_are_those_of_openslide_at_every_level_and_beyond_the_border(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    path = tmp_path / "s.tif"
    write_jpegs(path, **options)
    slide = opened(path)
    assert directly(slide) == [0, 1]
    assert_same_as_openslide(path, slide, [0, 1])


@pytest.mark.parametrize("ending", [".tif", ".ome.tif"])
def test_a_tile_that_is_cut_is_no_picture_and_the_others_are(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"s{ending}"
    if ending == ".tif":
        write_jpegs(path)
    else:
        tifffile.imwrite(path, PICTURE, ome=True, tile=(256, 256), photometric="rgb", compression="jpeg")
    with tifffile.TiffFile(path) as file:
        start, count = file.pages.first.dataoffsets[0], file.pages.first.databytecounts[0]
    data = bytearray(path.read_bytes())
    data[start + count // 2 : start + count] = bytes(count - count // 2)
    path.write_bytes(data)
    slide = open_slide(os.fsencode(path))
    with pytest.raises(UnreadableSlide, match=r"Premature|Corrupt|premature"):
        slide.read_level(0, 0, 0, 300, 300)
    assert np.abs(slide.read_level(0, 300, 300, 200, 200).astype(int) - PICTURE[300:500, 300:500]).mean() < 6


def test_of_an_svs_too(tmp_path: Path) -> None:
    path = tmp_path / "s.svs"
    write_svs(path, PICTURE)
    slide = opened(path)
    assert slide.vendor == "aperio"
    assert directly(slide) == [0, 1]
    assert_same_as_openslide(path, slide, [0, 1])


def test_the_real_slide_is_decoded_so_and_looks_the_same() -> None:
    """Its colours are RGB and no marker says so; its tables stand apart from its tiles."""
    path = real_slide()
    slide = opened(path)
    assert directly(slide) == [0]
    assert_same_as_openslide(path, slide, [0])


def test_other_compressions_are_left_to_openslide(tmp_path: Path) -> None:
    write_tiled(tmp_path / "s.tif", PICTURE)
    assert directly(opened(tmp_path / "s.tif")) == []


def test_a_level_with_tiles_left_out_is_left_to_openslide(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    write_jpegs(path)
    with tifffile.TiffFile(path, mode="r+b") as file:
        tag = file.pages.first.tags["TileByteCounts"]
        tag.overwrite((0, *tag.value[1:]))
    assert directly(opened(path)) == [1]


@pytest.mark.parametrize(
    ("other", "exact", "levels"),
    [
        (lambda pixels: pixels, True, [0, 1]),
        (lambda pixels: pixels ^ 1, True, []),
        (lambda pixels: pixels ^ 1, False, [0, 1]),
        (lambda pixels: pixels[..., ::-1], False, []),
        (lambda pixels: np.roll(pixels, 40, axis=1), False, []),
    ],
    ids=["the same", "off by one", "off by one where pixels are mixed", "other colours", "another place"],
)
def test_what_openslide_shows_otherwise_is_left_to_it(
    tmp_path: Path, other: Any, exact: bool, levels: list[int]
) -> None:
    path = tmp_path / "s.tif"
    write_jpegs(path)
    slide = opened(path)
    tiles = open_jpeg_tiles(str(path), slide.levels, lambda *region: other(slide.read_level(*region)), lambda _: exact)
    assert tiles is not None
    assert [level for level in (0, 1) if level in tiles] == levels


def test_a_damaged_tile_fails_as_openslide_says(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    write_jpegs(path)
    with tifffile.TiffFile(path) as file:
        start, count = file.pages.first.dataoffsets[0], file.pages.first.databytecounts[0]
    data = bytearray(path.read_bytes())
    data[start : start + count] = b"\xff" * count
    path.write_bytes(data)
    slide = opened(path)
    assert directly(slide) == [0, 1]
    with pytest.raises(Exception, match="decode: OpenSlideError"):
        slide.read_level(0, 0, 0, 300, 300)
    assert_same_as_openslide(path, slide, [1])
    np.testing.assert_allclose(slide.read_level(0, 300, 300, 200, 200), PICTURE[300:500, 300:500], atol=60)
