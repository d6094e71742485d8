"""Whatever tiles a slide has, its GeoJSON holds the same places, labels, probabilities and areas."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason="part of the dev extra")
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import shape

from cancernet_cli.outputs.slides.geojson import write_geojson
from cancernet_cli.outputs.slides.results import TileResults
from tests.tile_cases import results

SMALL = settings(max_examples=30, derandomize=True, deadline=None, database=None)
SIDE = 10
# A grid of 6 x 5 tiles that do not overlap; None is a place without a tile, NaN a tile that failed
GRID = st.lists(st.none() | st.just(float("nan")) | st.floats(0, 1, width=32), min_size=30, max_size=30)


def tiles_of(grid: list[float | None]) -> TileResults:
    chosen = [(i, p) for i, p in enumerate(grid) if p is not None]
    places = [(i % 6 * SIDE, i // 6 * SIDE) for i, _ in chosen]
    return results(places, [p for _, p in chosen], slide=(6 * SIDE, 5 * SIDE), tile=(SIDE, SIDE))


def features(tiles: TileResults, regions: Literal["tiles", "merged"]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        write_geojson(tiles, Path(folder, "slide.geojson"), regions=regions)
        return list(json.loads(Path(folder, "slide.geojson").read_text("utf-8"))["features"])


@SMALL
@given(GRID)
def test_tiles_come_back(grid: list[float | None]) -> None:
    tiles = tiles_of(grid)
    found = features(tiles, "tiles")
    assert [shape(one["geometry"]).bounds for one in found] == [
        (x, y, x + SIDE, y + SIDE) for x, y in zip(tiles.x.tolist(), tiles.y.tolist(), strict=True)
    ]
    assert [one["properties"]["classification"]["name"] for one in found] == [name or "failed" for name in tiles.labels]
    probs = [one["properties"].get("measurements", {}).get("prob_malignant", np.nan) for one in found]
    np.testing.assert_array_equal(np.array(probs, np.float32), tiles.probs[:, 1])


@SMALL
@given(GRID)
def test_merged_regions_cover_the_tiles_of_their_label(grid: list[float | None]) -> None:
    tiles = tiles_of(grid)
    areas: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for one in features(tiles, "merged"):
        region, properties = shape(one["geometry"]), one["properties"]
        assert region.is_valid
        areas[properties["classification"]["name"]] += round(region.area)
        counts[properties["classification"]["name"]] += properties["measurements"]["tiles"]
    expected = Counter(name or "failed" for name in tiles.labels)
    assert counts == expected
    assert areas == Counter({name: n * SIDE**2 for name, n in expected.items()})
