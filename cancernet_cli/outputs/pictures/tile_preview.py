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
    """Draw outlines, and a tint that is deeper where tiles overlap; only the tint if they are too small for outlines.

    Outlines of tiles that overlap are faint, so that the tissue can be seen between them.
    """
    if not len(tiles):
        return
    height, width = picture.shape[:2]
    left, top, right, bottom = np.rint(tiles).astype(np.int32).T
    change = np.zeros((height + 1, width + 1), np.int32)
    for rows, columns, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
        np.add.at(change, (np.clip(rows, 0, height), np.clip(columns, 0, width)), sign)
    count = change.cumsum(axis=0).cumsum(axis=1)[:height, :width]
    overlaps = int(count.max()) > 1
    is_small = min(float(np.median(right - left)), float(np.median(bottom - top))) < _LEAST_GRID_PX
    if overlaps or is_small:
        first = 0.35 if is_small else 0.12
        alpha = (1 - (1 - first) ** count)[..., None]
        picture[:] = np.rint(picture * (1 - alpha) + np.array(_TILE) * alpha)
    if not is_small:
        corners = np.stack([left, top, right, top, right, bottom, left, bottom], axis=1).reshape(-1, 4, 1, 2)
        layer = picture.copy()
        cv2.polylines(layer, list(corners), True, _TILE, 1 if overlaps else line)
        strength = 0.3 if overlaps else 0.6
        cv2.addWeighted(layer, strength, picture, 1 - strength, 0, dst=picture)
