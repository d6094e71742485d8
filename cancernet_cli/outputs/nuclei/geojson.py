"""Nuclei as GeoJSON detections, which QuPath opens when the file is dropped on the image.

The members are those of QuPath 0.4 and later (`outputs.slides.geojson`). Coordinates are in pixels of the image, or of
a slide's level 0, x to the right and y down from the upper left corner. Rings are closed and oriented as RFC 7946
requires.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cancernet_cli.core.arrays import F32
from cancernet_cli.core.nuclei import Nuclei
from cancernet_cli.outputs.slides.geojson import Feature, write_features

CLASS = "nucleus"
COLOR = (225, 255, 60)  # as in overlays
_DECIMALS = 2


def write_nuclei_geojson(nuclei: Nuclei, mpp: float | None, path: Path) -> None:
    """Write a FeatureCollection with one `detection` per nucleus; the same nuclei give the same bytes.

    Args:
        mpp: micrometers per pixel; areas are in pixels without it.

    Raises:
        OutputError: the file cannot be written.
    """
    write_features(_features(nuclei, mpp), path)


def _features(nuclei: Nuclei, mpp: float | None) -> Iterator[Feature]:
    area, unit = (nuclei.area, "area_px") if mpp is None else (nuclei.area * np.float32(mpp**2), "area_um2")
    columns = zip(
        nuclei.labels.tolist(),
        nuclei.outlines,
        _short(area),
        _short(nuclei.hematoxylin),
        _short(nuclei.eosin),
        strict=True,
    )
    for label, ring, size, hematoxylin, eosin in columns:
        yield {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [closed_ring(ring)]},
            "properties": {
                "objectType": "detection",
                "classification": {"name": CLASS, "color": list(COLOR)},
                "isLocked": True,
                "measurements": {"id": label, unit: size, "hematoxylin": hematoxylin, "eosin": eosin},
            },
        }


def closed_ring(ring: F32) -> list[list[float]]:
    """The corners of a ring `[P, 2]`, the last equal to the first."""
    points: list[list[float]] = np.round(ring.astype(np.float64), _DECIMALS).tolist()
    return points if points[0] == points[-1] else [*points, points[0]]


def _short(values: F32) -> list[Any]:
    """At most six digits, which is all that the measurements are worth."""
    return [float(f"{value:.6g}") for value in values.tolist()]
