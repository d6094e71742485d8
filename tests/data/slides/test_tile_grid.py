"""Regions from tiles and strips, and the cache of decoded tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cancernet_cli.data.slides import UnreadableSlide
from cancernet_cli.data.slides.tile_grid import TileCache, TileGrid


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("whole_tiles", [True, False], ids=["padded tiles", "cropped strips"])
def test_a_region_is_put_together_from_its_tiles(planes: int, whole_tiles: bool) -> None:
    image = np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)
    grid = TileGrid(70, 50, tile_width_px=32, tile_height_px=16, planes=planes)
    padded = np.pad(image, ((0, 14), (0, 26), (0, 0))) if whole_tiles else image  # 4 x 3 tiles

    def tile_at(index: int) -> Any:
        plane, place = divmod(index, 12)
        row, column = divmod(place, 3)
        tile = padded[row * 16 : (row + 1) * 16, column * 32 : (column + 1) * 32]
        return tile[..., plane : plane + 1] if planes > 1 else tile

    for left, top, width, height in ((0, 0, 70, 50), (31, 15, 2, 2), (40, 3, 30, 47), (5, 49, 1, 1)):
        out = np.zeros((height, width, 3), np.uint8)
        grid.copy_region(out, left, top, tile_at)
        np.testing.assert_array_equal(out, image[top : top + height, left : left + width])


def test_a_missing_tile_changes_nothing() -> None:
    out = np.full((16, 48, 1), 7, np.uint8)
    grid = TileGrid(64, 16, tile_width_px=32, tile_height_px=16)
    grid.copy_region(out, 0, 0, lambda index: None if index else np.zeros((16, 32, 1), np.uint8))
    assert (out[:, :32] == 0).all()
    assert (out[:, 32:] == 7).all()


def test_the_cache_has_a_limit_and_keeps_the_last_used() -> None:
    cache = TileCache(capacity_bytes=3000)
    made: list[int] = []

    def decode(level: int, index: int) -> Any:
        made.append(index)
        return None if index == 9 else np.zeros(1000, np.uint8)

    for index in (0, 1, 9, 2, 0, 3, 0, 9, 1):  # 3 evicts 1, which is then decoded again
        cache.get(0, index, decode)
        assert cache.held_bytes <= 3000
    assert made == [0, 1, 9, 2, 3, 1]
    cache.clear()
    assert cache.held_bytes == 0


def test_a_damaged_tile_is_decoded_once_and_a_disk_is_asked_again() -> None:
    cache, calls = TileCache(), []

    def fail(level: int, index: int) -> None:
        calls.append(index)
        raise OSError("disk") if index else ValueError("damaged")

    for _ in range(3):
        with pytest.raises(UnreadableSlide, match="decode: ValueError: damaged"):
            cache.get(0, 0, fail)
        with pytest.raises(OSError, match="disk"):
            cache.get(0, 1, fail)
    assert (calls.count(0), calls.count(1)) == (1, 3)
