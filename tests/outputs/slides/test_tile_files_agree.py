"""GeoJSON, heat map, TIFF and arrays say the same about every place of a slide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from matplotlib import colormaps

from cancernet_cli.outputs.slides.geojson import write_geojson
from cancernet_cli.outputs.slides.heatmap import draw_heatmap
from cancernet_cli.outputs.slides.probability_tiff import step_px, write_probability_tiff
from cancernet_cli.outputs.slides.results import TileResults
from tests.tile_cases import results

WIDTH, HEIGHT, TILE, STRIDE = 6000, 4400, 240, 180  # tiles overlap by a quarter and extend beyond both borders
CELL = 20  # px of level 0 that divide all of these


@pytest.fixture(scope="module")
def tiles() -> TileResults:
    rng = np.random.default_rng(7)
    places = [(x, y) for y in range(0, HEIGHT, STRIDE) for x in range(0, WIDTH, STRIDE)]
    kept = sorted(rng.permutation(len(places))[: len(places) * 2 // 3].tolist())
    p = rng.random(len(kept)).astype(np.float32)
    p[rng.random(len(kept)) < 0.15] = np.nan
    return results([places[i] for i in kept], p, slide=(WIDTH, HEIGHT), tile=(TILE, TILE), threshold=0.37)


@pytest.fixture(scope="module")
def from_arrays(tiles: TileResults) -> tuple[np.ndarray, np.ndarray]:
    """Mean probability and failure of each cell, tile by tile."""
    boxes = zip(tiles.x, tiles.y, tiles.x + TILE, tiles.y + TILE, tiles.values, strict=True)
    return painted([(*(int(side) for side in sides), float(p)) for *sides, p in boxes])


def painted(boxes: list[tuple[int, int, int, int, float]]) -> tuple[np.ndarray, np.ndarray]:
    total, count, touched = (np.zeros((HEIGHT // CELL, WIDTH // CELL)) for _ in range(3))
    for left, top, right, bottom, p in boxes:
        here = slice(top // CELL, bottom // CELL), slice(left // CELL, right // CELL)
        touched[here] += 1
        if not np.isnan(p):
            total[here] += p
            count[here] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), (touched > 0) & (count == 0)


def features(tiles: TileResults, path: Path, regions: Any) -> list[dict[str, Any]]:
    write_geojson(tiles, path, regions=regions)
    return list(json.loads(path.read_text())["features"])


def test_the_case_holds_everything(tiles: TileResults, from_arrays: tuple[np.ndarray, np.ndarray]) -> None:
    assert tiles.failed.any()
    assert (tiles.x + TILE > WIDTH).any()
    assert (tiles.y + TILE > HEIGHT).any()
    values, failed = from_arrays
    assert failed.any()
    assert (np.isnan(values) & ~failed).any()


def test_geojson_tiles(tiles: TileResults, from_arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    boxes = []
    for feature in features(tiles, tmp_path / "a.geojson", "tiles"):
        x, y = np.array(feature["geometry"]["coordinates"][0]).T
        p = feature["properties"].get("measurements", {}).get("prob_malignant", np.nan)
        boxes.append((x.min(), y.min(), x.max(), y.max(), float(p)))
        assert x.max() <= WIDTH
        assert y.max() <= HEIGHT
    values, failed = painted(boxes)
    np.testing.assert_allclose(values, from_arrays[0], atol=1e-7)
    np.testing.assert_array_equal(failed, from_arrays[1])


def test_geojson_regions(tiles: TileResults, tmp_path: Path) -> None:
    merged = features(tiles, tmp_path / "a.geojson", "merged")
    for label in ("benign", "malignant", None):
        mine = [label == name for name in tiles.labels]
        sides = [(side[mine] // CELL).tolist() for side in (tiles.x, tiles.y, tiles.x + TILE, tiles.y + TILE)]
        covered = np.zeros((HEIGHT // CELL, WIDTH // CELL), np.uint8)
        for left, top, right, bottom in zip(*sides, strict=True):
            covered[top:bottom, left:right] = 1
        drawn = np.zeros((HEIGHT // 4, WIDTH // 4), np.uint8)
        for feature in merged:
            if feature["properties"]["classification"]["name"] == (label or "failed"):
                layer = np.zeros_like(drawn)
                cv2.fillPoly(layer, [np.array(ring) // 4 for ring in feature["geometry"]["coordinates"]], 1)
                drawn |= layer
        np.testing.assert_array_equal(drawn[2::5, 2::5], covered)  # the middle of each cell


def test_tiff(tiles: TileResults, from_arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    write_probability_tiff(tiles, tmp_path / "a.tif")
    step = step_px(tiles)
    assert step == 60
    found = tifffile.imread(tmp_path / "a.tif")
    cells = np.kron(found, np.ones((step // CELL, step // CELL)))[: HEIGHT // CELL, : WIDTH // CELL]
    values, failed = from_arrays
    is_there = ~np.isnan(values)
    assert np.abs((cells[is_there] - 5) / 250 - values[is_there]).max() <= 0.5 / 250 + 1e-6
    np.testing.assert_array_equal(cells[~is_there], failed[~is_there])


@pytest.mark.parametrize("downsample", [4, 5])
def test_heat_map(tiles: TileResults, from_arrays: tuple[np.ndarray, np.ndarray], downsample: int) -> None:
    grey = 200
    thumbnail = np.full((HEIGHT // downsample, WIDTH // downsample, 3), grey, np.uint8)
    made = draw_heatmap(tiles, thumbnail, downsample, [])[: HEIGHT // downsample].astype(float)
    side = CELL // downsample
    values, failed = (np.kron(array, np.ones((side, side))) for array in from_arrays)
    is_there = ~np.isnan(values)
    place = np.interp(values[is_there], [0, 0.37, 1], [0, 0.5, 1])
    expected = 0.45 * colormaps["RdYlBu_r"](place)[:, :3] * 255 + 0.55 * grey
    assert np.abs(made[is_there] - expected).max() < 4  # 256 colours, twice
    nothing = ~is_there & (failed == 0)
    assert (made[nothing] == grey).all()
    assert set(np.unique(made[failed == 1])) == {40.0, 128.0 + grey / 2}
