"""Channels of an OME-TIFF: red, green and blue are joined, and others are refused with their names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from cancernet_cli.data.slides import Slide, UnreadableSlide, open_slide
from cancernet_cli.data.slides.ome import Ome, read_ome
from tests.slide_files import levels_of, marked

PICTURE = marked(600, 400)
RED, GREEN, BLUE = 0xFF0000FF - 2**32, 0x00FF00FF, 0x0000FFFF


def write(path: Path, order: tuple[int, ...] = (0, 1, 2), levels: int = 2, **metadata: Any) -> None:
    """The channels of PICTURE in an order, as pages of their own, each with its smaller levels below it."""
    pyramid = [PICTURE, *levels_of(PICTURE, (2, 4)[: levels - 1])]
    with tifffile.TiffWriter(path, ome=True) as file:
        for i, level in enumerate(pyramid):
            data = np.stack([level[..., channel] for channel in order])
            more: dict[str, Any] = {"subfiletype": 1}
            if i == 0:
                more = {"subifds": levels - 1, "metadata": {"axes": "CYX", **metadata}}
            file.write(data, tile=(128, 128), photometric="minisblack", compression="deflate", **more)


def opened(path: Path) -> Slide:
    return open_slide(os.fsencode(path))


@pytest.mark.parametrize(
    ("order", "channel"),
    [
        ((0, 1, 2), {}),
        ((0, 1, 2), {"Name": ["Red", "green", "B"]}),
        ((2, 0, 1), {"Name": ["blue", "red", "green"]}),
        ((2, 1, 0), {"Color": [BLUE, GREEN, RED]}),
    ],
)
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_three_channels_are_joined_at_every_level(
    tmp_path: Path, order: tuple[int, ...], channel: dict[str, Any], levels: int
) -> None:
    path = tmp_path / "s.ome.tif"
    write(path, order, levels, Channel=channel)
    slide = opened(path)
    assert [level.downsample for level in slide.levels] == [1, 2, 4][:levels]
    for i, level in enumerate([PICTURE, *levels_of(PICTURE, (2, 4))][:levels]):
        height, width = level.shape[:2]
        np.testing.assert_array_equal(slide.read_level(i, 0, 0, width, height), level)
        np.testing.assert_array_equal(slide.read_level(i, 20, 30, 50, 40), level[30:70, 20:70])


@pytest.mark.parametrize(
    ("order", "names", "reason"),
    [
        ((0, 1, 2), ["DAPI", "FITC", "Cy5"], "3 channels (DAPI, FITC, Cy5) that are not red, green and blue"),
        ((0, 1), [], "2 channels that are not"),
        ((0, 1, 2, 0), [], "4 channels that are not"),
        ((0, 1, 2, 0, 1), list("abcde"), "5 channels (a, b, c, d, ...) that are not"),
    ],
)
def test_other_channels_are_refused_with_their_names(
    tmp_path: Path, order: tuple[int, ...], names: list[str], reason: str
) -> None:
    path = tmp_path / "s.ome.tif"
    write(path, order, Channel={"Name": names} if names else {})
    with pytest.raises(UnreadableSlide) as caught:
        opened(path)
    assert reason in str(caught.value)


def test_a_stack_of_color_slides_is_read_first_and_flagged(tmp_path: Path) -> None:
    path = tmp_path / "s.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        for i, level in enumerate((PICTURE, *levels_of(PICTURE, (2,)))):
            data = np.stack([level, 255 - level])
            more: dict[str, Any] = {"subifds": 1, "metadata": {"axes": "ZYXS"}} if i == 0 else {"subfiletype": 1}
            file.write(data, tile=(128, 128), photometric="rgb", compression="deflate", **more)
    slide = opened(path)
    assert slide.flags == ("first_of_several_pages",)
    np.testing.assert_array_equal(slide.read_level(0, 0, 0, 600, 400), PICTURE)


@pytest.mark.parametrize("text", ["", "<", "<a/>", "<OME><Pixels SizeC='x' SizeZ='-'/></OME>", "\ud800"])
def test_invalid_xml_says_nothing(text: str) -> None:
    assert read_ome(text) == Ome()
