"""Read regions annotated by a pathologist from GeoJSON files as exported by QuPath."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from cancernet_cli.core.arrays import F64, I64
from cancernet_cli.core.errors import InputError
from cancernet_cli.data.tiles.tiling import TileSize

_FIX = "export the annotations again (QuPath: File, Export objects as GeoJSON), or pass --annotations none"

_SEPARATOR = ": "  # between the parts of a derived class


@dataclass(frozen=True)
class Annotations:
    """The regions of one slide.

    regions: union of all polygons by class, in level-0 pixels, x to the right and y down.
    others: names of classes that were not requested, "" for polygons without a class.
    without_area: number of points and lines of the requested classes.
    """

    regions: dict[str, BaseGeometry]
    others: tuple[str, ...] = ()
    without_area: int = 0


def read_annotations(path: Path, classes: Sequence[str]) -> Annotations:
    """Read the polygons of a file whose classification is one of `classes`, or derived from one, ignoring case.

    Accepts a FeatureCollection, a list of features or one feature, with polygons (holes included) and multipolygons.
    Overlapping polygons of one class count once; self-intersecting ones are repaired.

    Raises:
        InputError: the file cannot be read, is not GeoJSON, or has an invalid geometry.
    """
    names = {name.casefold(): name for name in classes}
    found: defaultdict[str, list[BaseGeometry]] = defaultdict(list)
    others: set[str] = set()
    without_area = 0
    for number, feature in enumerate(_features(path), start=1):
        geometry = _geometry(feature, path, number)
        if geometry is None:
            continue
        parts = _class_parts(feature)
        name = _wanted(parts, names)
        if name is None:
            others.add(_SEPARATOR.join(parts))
        elif geometry.area > 0:
            found[name].append(geometry)
        else:
            without_area += 1
    regions = {name: shapely.union_all(found[name]) for name in classes if name in found}
    return Annotations(regions, tuple(sorted(others)), without_area)


def annotated_share(region: BaseGeometry, x: I64, y: I64, size: TileSize) -> F64:
    """Fraction of each tile's area that is in a region, `[T]`; tiles are at `x`, `y` `[T]`, all in level-0 pixels."""
    boxes = shapely.box(x, y, x + size.width_px, y + size.height_px)
    shapely.prepare(region)  # tiles fully inside or outside then cost next to nothing
    share: F64 = shapely.contains(region, boxes).astype(np.float64)
    border = np.flatnonzero(shapely.intersects(region, boxes) & (share == 0))
    share[border] = shapely.area(shapely.intersection(region, boxes[border])) / (size.width_px * size.height_px)
    return share


def _features(path: Path) -> Iterator[dict[str, Any]]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"file not found: {path}", fix="correct the path") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", fix="correct the path") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}", fix=_FIX) from None
    if isinstance(content, dict):
        content = content.get("features") if content.get("type") == "FeatureCollection" else [content]
    if not isinstance(content, list):
        raise InputError(f"{path} has no list of features", fix=_FIX)
    for number, feature in enumerate(content, start=1):
        if not (isinstance(feature, dict) and feature.get("type") == "Feature"):
            raise InputError(f"{path}: entry {number} is not a GeoJSON feature", fix=_FIX)
        yield feature


def _geometry(feature: dict[str, Any], path: Path, number: int) -> BaseGeometry | None:
    """A feature's shape, repaired where it is self-intersecting; None without a geometry, which GeoJSON allows."""
    given = feature.get("geometry")
    if given is None:
        return None
    try:
        with np.errstate(invalid="ignore"):  # NumPy warns about what the next line checks
            found: BaseGeometry = shape(given)
        if not np.isfinite(shapely.get_coordinates(found)).all():
            raise ValueError("a coordinate is not a finite number")
        return found if found.is_valid else shapely.make_valid(found)
    except (ShapelyError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: feature {number} has an invalid geometry: {words}", fix=_FIX) from None


def _class_parts(feature: dict[str, Any]) -> list[str]:
    """A feature's class as QuPath's `names` or `name`; a derived class has several parts, `Tumor: Positive`."""
    properties = feature.get("properties")
    given = properties.get("classification") if isinstance(properties, dict) else None
    if isinstance(given, dict):
        given = given.get("names") or given.get("name")
    if isinstance(given, str):
        given = given.split(_SEPARATOR)
    return [part.strip() for part in given if isinstance(part, str)] if isinstance(given, list) else []


def _wanted(parts: list[str], names: dict[str, str]) -> str | None:
    """The requested class of a feature: its own, else the nearest that it derives from, else the only one it names."""
    derived = [_SEPARATOR.join(parts[:end]).casefold() for end in range(len(parts), 0, -1)]
    found = [names[one] for one in derived if one in names]
    alone = {names[part.casefold()] for part in parts if part.casefold() in names}
    return found[0] if found else alone.pop() if len(alone) == 1 else None
