"""A slide's tiles as GeoJSON, which QuPath opens when it is dropped on the slide.

The members are those of QuPath 0.4 and later (PathObjectTypeAdapters in qupath-core): `objectType`, `classification`
with name and color, `measurements` by name, `isLocked`. Coordinates are tile corners in whole level-0 pixels, x to the
right and y down from the slide's top left.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from cancernet_cli.core.arrays import F32
from cancernet_cli.core.choices import UNSURE
from cancernet_cli.core.files import atomic_write
from cancernet_cli.outputs.pictures.class_colours import FAILED_COLOUR, RGB, UNSURE_COLOUR, class_colours
from cancernet_cli.outputs.slides.results import FAILED, TileResults

_TILES_AT_ONCE = 4096

Feature = dict[str, Any]


def write_geojson(results: TileResults, path: Path, *, regions: Literal["tiles", "merged"]) -> None:
    """Write a FeatureCollection, one feature per line. The same results give the same bytes.

    Args:
        regions: `tiles` writes each tile as a `tile` object with its probabilities, streamed so that memory does not
            grow with their number. `merged` writes adjacent tiles of one label as one annotation with mean
            probabilities, number of tiles and area. Tiles have the class `unsure` where the model does not decide;
            failed tiles have the class `failed` and no probabilities.

    Raises:
        OutputError: The file cannot be written.
    """
    write_features(_tiles(results) if regions == "tiles" else _regions(results), path)


def write_features(features: Iterable[Feature], path: Path) -> None:
    """Write a FeatureCollection, one feature per line.

    Raises:
        OutputError: The file cannot be written.
    """
    with atomic_write(path, durable=False) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write('{"type":"FeatureCollection","features":[')
        for i, feature in enumerate(features):
            file.write(",\n" if i else "\n")
            file.write(json.dumps(feature, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
        file.write("\n]}\n")


def _tiles(results: TileResults) -> Iterator[Feature]:
    colours = class_colours(results.classes, results.positive) | {UNSURE: UNSURE_COLOUR}
    names = [f"prob_{name}" for name in results.classes]
    for first in range(0, len(results), _TILES_AT_ONCE):
        block = slice(first, first + _TILES_AT_ONCE)
        sides = (side[block].tolist() for side in (results.x, results.y, results.right, results.bottom))
        for left, top, right, bottom, probs, label in zip(
            *sides, _shortest(results.probs[block]), results.labels[block], strict=True
        ):
            ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
            measurements = {} if label is None else dict(zip(names, probs, strict=True))
            yield _feature("tile", [ring], label, colours, measurements)


def _regions(results: TileResults) -> Iterator[Feature]:
    from cancernet_cli.outputs.slides.regions import merge_tiles  # loads GEOS, which only merging needs

    colours = class_colours(results.classes, results.positive) | {UNSURE: UNSURE_COLOUR}
    names = [f"prob_{name}" for name in results.classes]
    for region in merge_tiles(results):
        means = [] if region.probs is None else zip(names, _shortest(region.probs), strict=True)
        measurements = {**dict(means), "tiles": region.tiles, "area_um2": round(region.area_um2, 3)}
        yield _feature("annotation", region.rings, region.label, colours, measurements)


def _feature(
    kind: str,
    rings: list[list[list[int]]],
    label: str | None,
    colours: Mapping[str, RGB],
    measurements: Mapping[str, float],
) -> Feature:
    colour = FAILED_COLOUR if label is None else colours[label]
    properties: Feature = {
        "objectType": kind,
        "classification": {"name": FAILED if label is None else label, "color": list(colour)},
        "isLocked": True,
    }
    if measurements:
        properties["measurements"] = measurements
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": rings},
        "properties": properties,
    }


def _shortest(probs: F32) -> list[Any]:
    """The shortest decimals that round-trip to the same float32, as table readers display them."""
    shortest: list[Any] = probs.astype("U32").astype(float).tolist()
    return shortest
