"""GeoJSON: what QuPath reads, where tiles lie, what is merged."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest

from cancernet_cli.core.errors import OutputError
from cancernet_cli.outputs.slides import geojson
from cancernet_cli.outputs.slides.geojson import write_geojson
from cancernet_cli.outputs.slides.results import TileResults
from tests.tile_cases import overlapping, results

VERMILLION, BLUE, GREY = [213, 94, 0], [0, 114, 178], [120, 120, 120]


def written(tiles: TileResults, folder: Path, regions: Literal["tiles", "merged"]) -> list[dict[str, Any]]:
    path = folder / "slide.geojson"
    write_geojson(tiles, path, regions=regions)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["type"] == "FeatureCollection"
    assert all(feature["type"] == "Feature" for feature in content["features"])
    return list(content["features"])


def rectangle(left: int, top: int, right: int, bottom: int) -> list[list[list[int]]]:
    return [[[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]]


def corners(ring: list[list[int]]) -> set[tuple[int, ...]]:
    assert ring[0] == ring[-1]
    assert len(ring) - 1 == len({tuple(place) for place in ring})
    return {tuple(place) for place in ring}


def signed_area(ring: list[list[int]]) -> float:
    x, y = np.array(ring).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2


def test_tiles_are_rectangles_with_their_probabilities(tmp_path: Path) -> None:
    made = written(overlapping(), tmp_path, "tiles")
    assert [feature["geometry"] for feature in made] == [
        {"type": "Polygon", "coordinates": rectangle(*sides)}
        for sides in ((0, 0, 40, 40), (20, 0, 60, 40), (0, 20, 40, 60), (80, 0, 100, 40), (60, 40, 100, 60))
    ]
    assert made[0]["properties"] == {
        "objectType": "tile",
        "classification": {"name": "malignant", "color": VERMILLION},
        "isLocked": True,
        "measurements": {"prob_benign": 0.25, "prob_malignant": 0.75},
    }
    assert made[1]["properties"]["classification"] == {"name": "benign", "color": BLUE}
    assert made[2]["properties"] == {
        "objectType": "tile",
        "classification": {"name": "failed", "color": GREY},
        "isLocked": True,
    }


def test_probabilities_are_those_of_the_table(tmp_path: Path) -> None:
    p = np.random.default_rng(0).random(50).astype(np.float32)
    p[:3] = 1e-30, 1, 0
    tiles = results([(i, 0) for i in range(50)], p)
    made = written(tiles, tmp_path, "tiles")
    found = [list(feature["properties"]["measurements"].values()) for feature in made]
    np.testing.assert_array_equal(np.float32(found), tiles.probs)
    assert '"prob_malignant":1e-30' in (tmp_path / "slide.geojson").read_text()  # not 1.0000000031710769e-30


def test_touching_tiles_of_a_label_become_one_region(tmp_path: Path) -> None:
    places = [(0, 0), (40, 0), (40, 40), (80, 0)]
    made = written(results(places, [0.75, 1.0, 0.5, 0.25], slide=(120, 80)), tmp_path, "merged")
    benign, malignant = made
    assert benign["geometry"]["coordinates"] == rectangle(80, 0, 120, 40)
    assert malignant["properties"] == {
        "objectType": "annotation",
        "classification": {"name": "malignant", "color": VERMILLION},
        "isLocked": True,
        "measurements": {"prob_benign": 0.25, "prob_malignant": 0.75, "tiles": 3, "area_um2": 4800 * 0.25},
    }
    (outer,) = malignant["geometry"]["coordinates"]
    assert corners(outer) == {(0, 0), (80, 0), (80, 80), (40, 80), (40, 40), (0, 40)}  # none between two corners


def test_a_corner_joins_nothing_and_a_hole_stays(tmp_path: Path) -> None:
    ring = [(x, y) for y in (0, 10, 20) for x in (0, 10, 20) if (x, y) != (10, 10)]
    tiles = results([*ring, (30, 30), (10, 10)], [1.0] * 9 + [0.0], slide=(40, 40), tile=(10, 10))
    inner, around, apart = written(tiles, tmp_path, "merged")
    assert inner["geometry"]["coordinates"] == rectangle(10, 10, 20, 20)
    outer, hole = around["geometry"]["coordinates"]
    assert corners(outer) == {(0, 0), (30, 0), (30, 30), (0, 30)}
    assert corners(hole) == {(10, 10), (20, 10), (20, 20), (10, 20)}
    assert signed_area(outer) == 900  # RFC 7946: outer rings one way, holes the other
    assert signed_area(hole) == -100
    assert around["properties"]["measurements"]["tiles"] == 8
    assert around["properties"]["measurements"]["area_um2"] == 800 * 0.25
    assert apart["geometry"]["coordinates"] == rectangle(30, 30, 40, 40)


def test_failed_tiles_are_merged_apart_from_the_classes(tmp_path: Path) -> None:
    nan = float("nan")
    tiles = results([(0, 0), (40, 0), (0, 40), (40, 40)], [1.0, nan, nan, nan], slide=(80, 60))
    malignant, failed = written(tiles, tmp_path, "merged")
    assert malignant["geometry"]["coordinates"] == rectangle(0, 0, 40, 40)
    assert corners(failed["geometry"]["coordinates"][0]) == {(40, 0), (80, 0), (80, 60), (0, 60), (0, 40), (40, 40)}
    assert failed["properties"]["classification"] == {"name": "failed", "color": GREY}
    assert failed["properties"]["measurements"] == {"tiles": 3, "area_um2": 3200 * 0.25}


def drawn(features: list[dict[str, Any]], width: int, height: int) -> np.ndarray:
    """Which pixels lie in the features; each pixel of the slide is enlarged, so that its inside tells."""
    scale = 4
    picture = np.zeros((height * scale, width * scale), np.uint8)
    for feature in features:
        rings = [np.array(ring) * scale for ring in feature["geometry"]["coordinates"]]
        layer = np.zeros_like(picture)
        cv2.fillPoly(layer, rings, 1)  # even and odd: holes stay open
        picture |= layer
    return picture[2::scale, 2::scale].astype(bool)


@pytest.mark.parametrize("seed", range(4))
def test_regions_cover_what_their_tiles_cover(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = np.unique(np.stack([rng.integers(0, 15, 120) * 7, rng.integers(0, 12, 120) * 5], axis=1), axis=0)
    tiles = results(places, rng.random(len(places)).round(3), slide=(104, 59), tile=(7 + seed, 5 + seed % 2))
    made = written(tiles, tmp_path, "merged")
    for label in tiles.classes:
        covered = np.zeros((59, 104), bool)
        for i, name in enumerate(tiles.labels):
            if name == label:
                covered[tiles.y[i] : tiles.bottom[i], tiles.x[i] : tiles.right[i]] = True
        of_label = [feature for feature in made if feature["properties"]["classification"]["name"] == label]
        np.testing.assert_array_equal(drawn(of_label, 104, 59), covered)
        counted = [feature["properties"]["measurements"] for feature in of_label]
        assert sum(one["tiles"] for one in counted) == tiles.labels.count(label)
        assert sum(one["area_um2"] for one in counted) == pytest.approx(covered.sum() * 0.25)
        # labels of pixels that touch by their sides are counted by somebody else
        assert len(of_label) == cv2.connectedComponents(covered.astype(np.uint8), connectivity=4)[0] - 1


@pytest.mark.parametrize("regions", ["tiles", "merged"])
def test_same_results_same_bytes(tmp_path: Path, regions: Literal["tiles", "merged"]) -> None:
    for name in ("a", "b"):
        write_geojson(overlapping(), tmp_path / name, regions=regions)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("regions", ["tiles", "merged"])
def test_no_tiles_give_an_empty_collection(tmp_path: Path, regions: Literal["tiles", "merged"]) -> None:
    assert written(results([], []), tmp_path, regions) == []


def test_eight_subtypes_have_a_colour_each(tmp_path: Path) -> None:
    classes = tuple(f"subtype ä{i}" for i in range(8))
    others: dict[str, Any] = {"probs": np.eye(8, dtype=np.float32), "labels": list(classes), "classes": classes}
    tiles = results([(i * 10, 0) for i in range(8)], [0] * 8, **others, positive="")
    found = [feature["properties"]["classification"] for feature in written(tiles, tmp_path, "tiles")]
    assert [one["name"] for one in found] == list(classes)
    assert len({tuple(one["color"]) for one in found}) == 8


def test_memory_does_not_grow_with_the_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geojson, "_TILES_AT_ONCE", 64)

    def peak_bytes(side: int) -> int:
        places = [(x, y) for y in range(side) for x in range(side)]
        tiles = results(places, np.linspace(0, 1, len(places)), slide=(side, side), tile=(1, 1))
        _ = tiles.right, tiles.bottom, tiles.failed
        tracemalloc.start()
        write_geojson(tiles, tmp_path / "many", regions="tiles")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_bytes(60) < peak_bytes(20) * 1.2


def test_a_folder_in_the_way_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_geojson(overlapping(), tmp_path, regions="tiles")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("regions", ["tiles", "merged"])
def test_tiles_that_the_model_does_not_decide_on_are_called_unsure(
    tmp_path: Path, regions: Literal["tiles", "merged"]
) -> None:
    tiles = results([(0, 0), (40, 0), (80, 0)], [0.9, 0.6, 0.55], labels=["malignant", "unsure", "unsure"])
    features = written(tiles, tmp_path, regions)
    classes = [feature["properties"]["classification"] for feature in features]
    unsure = {"name": "unsure", "color": [205, 205, 205]}
    assert classes == [{"name": "malignant", "color": VERMILLION}, *[unsure] * (2 if regions == "tiles" else 1)]
    assert features[1]["properties"]["measurements"]["prob_malignant"] == pytest.approx(
        0.6 if regions == "tiles" else 0.575
    )
