from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from cancernet_cli.outputs.nuclei.geojson import write_nuclei_geojson
from cancernet_cli.segmentation.nuclei import measure_nuclei
from tests.nuclei_images import with_nuclei


def test_detections_as_qupath_reads_them(tmp_path: Path) -> None:
    image, labels = with_nuclei(120, 80, [(30, 25), (80, 40)])
    nuclei = measure_nuclei(labels, image)
    write_nuclei_geojson(nuclei, 0.5, tmp_path / "a.geojson")
    found = json.loads((tmp_path / "a.geojson").read_text("utf-8"))
    assert found["type"] == "FeatureCollection"
    assert len(found["features"]) == 2
    for feature, area in zip(found["features"], nuclei.area.tolist(), strict=True):
        assert feature["type"] == "Feature"
        properties = feature["properties"]
        assert properties["objectType"] == "detection"
        assert properties["isLocked"] is True
        assert properties["classification"]["name"] == "nucleus"
        assert all(0 <= channel <= 255 for channel in properties["classification"]["color"])
        assert properties["measurements"]["area_um2"] == pytest.approx(area * 0.25, rel=1e-5)
        (ring,) = feature["geometry"]["coordinates"]
        assert feature["geometry"]["type"] == "Polygon"
        assert ring[0] == ring[-1]  # RFC 7946, 3.1.6
        assert shapely.LinearRing(ring).is_ccw
        assert shapely.Polygon(ring).is_valid


def test_areas_are_in_pixels_without_a_resolution(tmp_path: Path) -> None:
    image, labels = with_nuclei(120, 80, [(30, 25)])
    write_nuclei_geojson(measure_nuclei(labels, image), None, tmp_path / "a.geojson")
    (feature,) = json.loads((tmp_path / "a.geojson").read_text("utf-8"))["features"]
    assert feature["properties"]["measurements"]["area_px"] == np.sum(labels == 1)
