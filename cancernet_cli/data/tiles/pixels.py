"""Read tiles at the network's resolution: from the nearest finer level, neighbours together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from cancernet_cli.core.arrays import I64, Pixels
from cancernet_cli.core.pixels import resize
from cancernet_cli.core.records import Failure
from cancernet_cli.data.slides.base import Slide, UnreadableSlide, level_for
from cancernet_cli.data.tiles.tiling import TileSize

_MAX_READ_PIXELS = 4_000_000  # of a level, at once: 16 MB as RGBA from OpenSlide
MOST_BAD = 0.5  # of the tiles of a slide: with more, it is not worth reading on
_MAX_GAP = 0.5  # of a tile: smaller gaps are read along, instead of reading twice


@dataclass(frozen=True, slots=True)
class LevelRegion:
    """A tile's rectangle in pixels of the level from which it is read."""

    level: int
    x: int
    y: int
    width_px: int
    height_px: int


@dataclass(frozen=True)
class TilePixels:
    """Pixels of T tiles.

    pixels: `[T, h, w, 3]` uint8 RGB; tiles that could not be read are white.
    failures: the reasons for these, by index.
    """

    pixels: Pixels
    failures: dict[int, Failure] = field(default_factory=dict)


def level_region(slide: Slide, x: int, y: int, size: TileSize) -> LevelRegion:
    """The region to read for the tile at (x, y) of level 0: whole pixels of the nearest finer level.

    The corner is rounded to the nearest pixel, so that a tile moves by at most half a pixel of that level, and pixels
    are not interpolated.
    """
    level = level_for(slide, size.width_px / size.view_width_px)
    scale = slide.levels[level].downsample
    width, height = max(1, round(size.width_px / scale)), max(1, round(size.height_px / scale))
    return LevelRegion(level, round(x / scale), round(y / scale), width, height)


def read_tiles(slide: Slide, x: Sequence[int] | I64, y: Sequence[int] | I64, size: TileSize) -> TilePixels:
    """Read the T tiles at these places of level 0 as views; white outside the slide. A damaged tile does not raise.

    Neighbours in a row are decoded once: fastest with tiles ordered by y, then x, as from `plan_tiles`.
    """
    regions = [level_region(slide, int(left), int(top), size) for left, top in zip(x, y, strict=True)]
    pixels = np.full((len(regions), size.view_height_px, size.view_width_px, 3), 255, np.uint8)
    failures: dict[int, Failure] = {}
    for first, end in _together(slide, regions):
        try:
            strip = _read(slide, _around(regions[first:end]))
        except UnreadableSlide as error:
            if end - first == 1:
                failures[first] = error.failure
                continue
            strip = None  # one of them is damaged: read them separately
        for i in range(first, end):
            left = regions[i].x - regions[first].x
            try:
                cut = _read(slide, regions[i]) if strip is None else strip[:, left : left + regions[i].width_px]
                pixels[i] = _as_view(cut, size)
            except UnreadableSlide as error:
                failures[i] = error.failure
    return TilePixels(pixels, failures)


def given_up(failures: Sequence[Failure], tiles: int) -> Failure | None:
    """Why a slide is given up while its tiles are read; None if it is not.

    Args:
        failures: of the tiles so far, in order. tiles: how many there are in all.
    """
    late = next((why for why in failures if why.error == "TimedOut"), None)
    if late is not None or len(failures) <= MOST_BAD * tiles:
        return late  # the others would take as long
    words = f"more than {MOST_BAD:.0%} of its {tiles:,} tiles cannot be read, the first: {failures[0]}"
    return Failure("tile", "TooManyBadTiles", words)


def _together(slide: Slide, regions: list[LevelRegion]) -> Iterator[tuple[int, int]]:
    """(first, end) of tiles to read at once: neighbours in a row, if the level can be read at any position."""
    first = 0
    for i in range(1, len(regions) + 1):
        if i < len(regions) and slide.is_exact(regions[i].level) and _fits(regions[first], regions[i - 1], regions[i]):
            continue
        yield first, i
        first = i


def _fits(first: LevelRegion, last: LevelRegion, region: LevelRegion) -> bool:
    width = region.x + region.width_px - first.x
    gap = region.x - (last.x + last.width_px)
    is_next = region.y == first.y and region.x >= last.x and gap <= region.width_px * _MAX_GAP
    return is_next and width * region.height_px <= _MAX_READ_PIXELS


def _around(regions: list[LevelRegion]) -> LevelRegion:
    first, last = regions[0], regions[-1]
    return LevelRegion(first.level, first.x, first.y, last.x + last.width_px - first.x, first.height_px)


def _read(slide: Slide, region: LevelRegion) -> Pixels:
    return slide.read_level(region.level, region.x, region.y, region.width_px, region.height_px)


def _as_view(pixels: Pixels, size: TileSize) -> Pixels:
    return resize(pixels, size.view_width_px, size.view_height_px, enlarge="cubic")
