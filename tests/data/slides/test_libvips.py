"""Pyramids that libvips writes, as QuPath users, OMERO and many converters make them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

from cancernet_cli.core.options import TilingOptions
from cancernet_cli.data.slides import open_slide
from cancernet_cli.data.slides.kinds import kind_of
from cancernet_cli.data.tiles.pixels import read_tiles
from cancernet_cli.data.tiles.slide_plan import Cut, plan_slide
from tests.slide_files import levels_of, marked, tissue_slide


def saved(path: Path, picture: np.ndarray, **options: Any) -> bytes:
    """A tiled pyramid of 0.5 um a pixel."""
    image = pyvips.Image.new_from_array(picture).copy(xres=2000, yres=2000)  # pixels a millimetre
    image.tiffsave(path, tile=True, pyramid=True, tile_width=128, tile_height=128, resunit="cm", **options)
    return os.fsencode(path)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "deflate"},
        {"compression": "lzw", "predictor": "horizontal", "bigtiff": True},
        {"compression": "deflate", "subifd": True},
        {"compression": "none"},
    ],
    ids=lambda options: " ".join(map(str, options.values())),
)
def test_every_level_has_its_pixels_and_the_scale_is_known(tmp_path: Path, options: dict[str, Any]) -> None:
    picture = marked(768, 512)
    location = saved(tmp_path / "v.tif", picture, **options)
    assert kind_of(location) == "slide"
    slide = open_slide(location)
    assert slide.scale.tiff_mpp == pytest.approx((0.5, 0.5))
    assert [level.downsample for level in slide.levels[:3]] == [1, 2, 4]
    np.testing.assert_array_equal(slide.read_level(0, 0, 0, 768, 512), picture)
    halved = slide.read_level(1, 0, 0, 384, 256).astype(int)
    assert np.abs(halved - levels_of(picture, (2,))[0]).max() <= 1  # libvips rounds means down
    slide.close()


def test_a_jpeg_pyramid_is_planned_and_read_at_its_scale(tmp_path: Path) -> None:
    picture = tissue_slide(1200, 800)
    slide = open_slide(saved(tmp_path / "v.tif", picture, compression="jpeg", Q=95))
    plan = plan_slide(slide, Cut(100, 100, 1.0), TilingOptions())
    assert (plan.resolution.mpp, plan.resolution.source) == (pytest.approx(0.5), "tiff_resolution")
    tiles = plan.tiles
    assert (tiles.size.width_px, len(tiles) > 10) == (200, True)
    found = read_tiles(slide, tiles.x, tiles.y, tiles.size)
    assert found.failures == {}
    for pixels, x, y in zip(found.pixels, tiles.x.tolist(), tiles.y.tolist(), strict=True):
        own = levels_of(picture[y : y + 200, x : x + 200], (2,))[0]
        if own.shape == pixels.shape:
            assert np.abs(pixels.astype(int) - own).mean() < 4
