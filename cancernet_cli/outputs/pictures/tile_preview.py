"""Tile previews: a slide's thumbnail with outlines of tissue and pen, the selected tiles, and a caption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from cancernet_cli.core.arrays import F64, Bools, Pixels
from cancernet_cli.outputs.pictures.lettering import text_band
from cancernet_cli.outputs.pictures.size import picture_size, resized

_SHORTEST_LONG_SIDE_PX = 1024  # below this, the caption would be wider than the picture
_TISSUE = (20, 120, 60)
_PEN = (235, 60, 40)
_TILE = (30, 80, 220)
_LEAST_GRID_PX = 5  # a finer grid would hide the picture: tiles are tinted instead


def draw_tile_preview(thumbnail: Pixels, tissue: Bools, pen: Bools, tiles: F64, caption: Sequence[str]) -> Pixels:
    """Draw everything that determines the positions of tiles.

    Args:
        thumbnail: `[h, w, 3]` uint8 RGB. tissue, pen: `[h, w]` bool.
        tiles: `[T, 4]`: left, top, right and bottom of each tile in thumbnail pixels.
        caption: Lines below the picture.

    Returns:
        `[H, W, 3]` uint8 RGB, at most 2048 px on the picture's longer side.
    """
    height, width = thumbnail.shape[:2]
    size = picture_size(width, height, shortest_px=_SHORTEST_LONG_SIDE_PX)
    picture = resized(thumbnail, size)
    line = max(1, round(max(size) / 900))
    _draw_tiles(picture, tiles * (size[0] / width, size[1] / height, size[0] / width, size[1] / height), line)
    for mask, colour in ((tissue, _TISSUE), (pen, _PEN)):
        shape = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        contours, _ = cv2.findContours(shape, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, colour, line + 1, cv2.LINE_AA)
    return np.vstack([picture, text_band(size[0], caption)])


def _draw_tiles(picture: Any, tiles: F64, line: int) -> None:
    """Draw semi-transparent outlines, or a tint if the tiles are too small for outlines."""
    if not len(tiles):
        return
    left, top, right, bottom = np.rint(tiles).astype(np.int32).T
    corners = np.stack([left, top, right, top, right, bottom, left, bottom], axis=1).reshape(-1, 4, 1, 2)
    layer = picture.copy()
    if min(float(np.median(right - left)), float(np.median(bottom - top))) < _LEAST_GRID_PX:
        cv2.fillPoly(layer, list(corners), _TILE)
        cv2.addWeighted(layer, 0.35, picture, 0.65, 0, dst=picture)
    else:
        cv2.polylines(layer, list(corners), True, _TILE, line)
        cv2.addWeighted(layer, 0.6, picture, 0.4, 0, dst=picture)
