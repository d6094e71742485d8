"""Strips and tiles of a TIFF page, by its directory alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

from cancernet_cli.data.readers.base import Contradiction, TruncatedImage
from cancernet_cli.data.readers.tiff.directories import (
    PLANAR,
    ROWS_PER_STRIP,
    SAMPLES,
    STRIP_BYTES,
    STRIPS,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    TILES,
    Directory,
)

_SEPARATE = 2
_MAX_TILE_PIXELS = 4096 * 4096  # or twice the page, where that is more


def check_layout(page: Directory) -> None:
    """Raise unless the directory lists all strips or tiles, of sensible sizes.

    Cheap, and before a decoder takes the memory that the page asks for.

    Raises:
        TruncatedImage: it lists too few. Contradiction: its tiles are much larger than the page, or empty.
    """
    needed, listed = _needed(page), page.count(_tags(page)[0])
    if listed < needed:
        kind = "tiles" if _is_tiled(page) else "strips"
        raise TruncatedImage(f"its directory lists {listed:,} of {needed:,} {kind}")


def segments(page: Directory) -> Iterator[bytes]:
    """The content of each strip or tile, in order.

    Raises:
        TruncatedImage: the file does not have all of it.
    """
    starts, lengths = (page.numbers(tag) for tag in _tags(page))
    needed = _needed(page)
    if min(len(starts), len(lengths)) < needed:
        raise TruncatedImage(f"its directory lists {min(len(starts), len(lengths)):,} of {needed:,} strips or tiles")
    for start, length in list(zip(starts, lengths, strict=False))[:needed]:
        if length < 1 or start + length > len(page.data):
            raise TruncatedImage(f"the file ends after {len(page.data):,} bytes, before the end of its pixels")
        yield page.data[start : start + length]


def _is_tiled(page: Directory) -> bool:
    return TILE_WIDTH in page or TILES in page


def _tags(page: Directory) -> tuple[int, int]:
    """Tags of places and lengths; some programs write tiles with the tags of strips."""
    return (TILES, TILE_BYTES) if TILES in page else (STRIPS, STRIP_BYTES)


def _needed(page: Directory) -> int:
    width, height = page.size
    planes = page.number(SAMPLES, 1) if page.number(PLANAR, 1) == _SEPARATE else 1
    if not _is_tiled(page):
        return planes * math.ceil(height / max(1, page.number(ROWS_PER_STRIP, height)))
    across, down = page.number(TILE_WIDTH, 0), page.number(TILE_HEIGHT, 0)
    if min(across, down) < 1 or across * down > max(_MAX_TILE_PIXELS, 2 * width * height):
        raise Contradiction(f"an image of {width} x {height} pixels cannot have tiles of {across} x {down}")
    return planes * math.ceil(width / across) * math.ceil(height / down)
