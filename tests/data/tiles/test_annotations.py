"""Annotated regions from GeoJSON: shapes whose areas are worked out by hand, and files that are broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cancernet_cli.core.errors import InputError
from cancernet_cli.data.tiles.annotations import annotated_share, read_annotations
from cancernet_cli.data.tiles.tiling import TileSize

CLASSES = ("benign", "malignant")
SQUARE = [[0, 0], [100, 0], [100, 100], [0, 100], [0, 0]]
HOLE = [[20, 20], [60, 20], [60, 60], [20, 60], [20, 20]]
TILE = TileSize(50, 50, 25, 25)


def feature(name: str | None, coordinates: Any, kind: str = "Polygon") -> dict[str, Any]:
    """As QuPath writes it."""
    properties: dict[str, Any] = {"objectType": "annotation", "isLocked": False}
    if name is not None:
        properties["classification"] = {"name": name, "color": [200, 0, 0]}
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


def written(folder: Path, content: object) -> Path:
    path = folder / "a.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def shares(folder: Path, *features: dict[str, Any], name: str = "malignant") -> list[float]:
    """Of the four tiles of 50 x 50 that make up the square of 100 x 100, and of one far away."""
    region = read_annotations(written(folder, list(features)), CLASSES).regions[name]
    x, y = np.array([0, 50, 0, 50, 900]), np.array([0, 0, 50, 50, 0])
    return [round(share, 9) for share in annotated_share(region, x, y, TILE).tolist()]


def test_a_hole_is_not_annotated(tmp_path: Path) -> None:
    # of 2,500: 30 x 30, 10 x 30, 30 x 10 and 10 x 10 lie in the hole
    assert shares(tmp_path, feature("malignant", [SQUARE, HOLE])) == [0.64, 0.88, 0.88, 0.96, 0]


def test_a_slanted_border_cuts_a_tile_where_it_lies(tmp_path: Path) -> None:
    triangle = [[0, 0], [100, 0], [0, 100], [0, 0]]
    assert shares(tmp_path, feature("malignant", [triangle])) == [1, 0.5, 0.5, 0, 0]


def test_several_polygons_are_one_region_and_overlaps_count_once(tmp_path: Path) -> None:
    left, upper = [[[0, 0], [30, 0], [30, 100], [0, 100], [0, 0]]], [[[0, 0], [100, 0], [100, 20], [0, 20], [0, 0]]]
    both = 30 * 50 + 20 * 20  # of the first tile: the left part, and what the upper one adds
    expected = [both / 2500, 50 * 20 / 2500, 30 * 50 / 2500, 0, 0]
    assert shares(tmp_path, feature("malignant", left), feature("malignant", upper)) == expected
    assert shares(tmp_path, feature("malignant", [left, upper], "MultiPolygon")) == expected


def test_an_outline_that_crosses_itself_covers_its_loops(tmp_path: Path) -> None:
    bow_tie = [[0, 0], [100, 100], [100, 0], [0, 100], [0, 0]]  # the left and the right quarter of the square
    assert shares(tmp_path, feature("malignant", [bow_tie])) == [0.5, 0.5, 0.5, 0.5, 0]


@pytest.mark.parametrize("form", ["collection", "list", "feature"])
def test_collections_lists_and_single_features_are_read_and_names_in_any_case(tmp_path: Path, form: str) -> None:
    one = feature("Malignant", [SQUARE])
    content = {"collection": {"type": "FeatureCollection", "features": [one]}, "list": [one], "feature": one}[form]
    found = read_annotations(written(tmp_path, content), CLASSES)
    assert list(found.regions) == ["malignant"]
    assert found.regions["malignant"].area == 10_000


def test_other_classes_and_what_has_no_area_are_told(tmp_path: Path) -> None:
    features = [
        feature("benign", [SQUARE]),
        feature("Stroma", [SQUARE]),
        feature(None, [SQUARE]),
        feature("malignant", [5, 5], "Point"),
        feature("malignant", [[0, 0], [9, 9]], "LineString"),
        {"type": "Feature", "geometry": None, "properties": None},
    ]
    found = read_annotations(written(tmp_path, features), CLASSES)
    assert (list(found.regions), found.others, found.without_area) == (["benign"], ("", "Stroma"), 2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not valid JSON"),
        ("\udcff".encode("utf-8", "surrogateescape").decode("latin-1"), "is not valid JSON"),
        ({"type": "FeatureCollection"}, "has no list of features"),
        (7, "has no list of features"),
        ({"type": "Polygon", "coordinates": [SQUARE]}, "entry 1 is not a GeoJSON feature"),
        ([feature("benign", [SQUARE]), feature("benign", [[[0, 0], [1, 1]]])], "feature 2 has an invalid geometry"),
        ([feature("benign", [SQUARE], "Polygone")], "feature 1 has an invalid geometry"),
        ([feature("benign", "far away")], "feature 1 has an invalid geometry"),
        ([feature("benign", [[[0, 0], [1, float("nan")], [1, 1], [0, 0]]])], "a coordinate is not a finite number"),
        ([{"type": "Feature", "geometry": {"type": "Polygon"}}], "feature 1 has an invalid geometry"),
    ],
)
def test_what_is_no_geojson_is_refused_with_the_way_to_mend_it(tmp_path: Path, content: object, words: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=rf"a\.geojson.*{words}.*; export the annotations again .*--annotations none"):
        read_annotations(path, CLASSES)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"file not found: .*gone\.geojson"):
        read_annotations(tmp_path / "gone.geojson", CLASSES)


@pytest.mark.parametrize(
    "classification",
    [
        {"names": ["Malignant", "Positive"]},
        {"name": "Malignant: Positive", "color": [200, 0, 0]},
        {"names": ["Tumor", "Malignant"]},
        {"names": ["malignant"], "name": "ignored"},
        "Malignant: Ki-67: Negative",
    ],
)
def test_a_derived_class_counts_as_the_class_it_is_derived_from(tmp_path: Path, classification: object) -> None:
    one = feature(None, [SQUARE]) | {"properties": {"objectType": "annotation", "classification": classification}}
    found = read_annotations(written(tmp_path, [one]), CLASSES)
    assert found.regions["malignant"].area == 10_000
    assert found.others == ()


def test_the_most_specific_class_is_taken_and_others_are_told(tmp_path: Path) -> None:
    def derived(*names: str) -> dict[str, Any]:
        return feature(None, [SQUARE]) | {"properties": {"classification": {"names": list(names)}}}

    path = written(tmp_path, [derived("Tumor", "In situ"), derived("Tumor"), derived("Stroma", "Positive"), derived()])
    found = read_annotations(path, ("tumor", "tumor: in situ", "a:b"))
    assert set(found.regions) == {"tumor", "tumor: in situ"}
    assert found.others == ("", "Stroma: Positive")
