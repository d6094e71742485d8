"""Small pictures as JPEG, outlines of masks, and what a worker is given and gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.pixels import resize
from cancernet_cli.core.records import Kind

LONG_SIDE_PX = 448
_QUALITY = 82
_MOST_CONTOURS, _MOST_POINTS = 150, 4_000


@dataclass(frozen=True)
class PictureTask:
    """What a worker is to read for one row.

    number: the row's. location: absolute path of the file. side_files: files that sinks wrote for it, by sink. tiles:
    of a slide, columns of the tile table.
    """

    number: int
    kind: Kind
    location: bytes
    side_files: Mapping[str, Path]
    tiles: Mapping[str, Any] | None = None


@dataclass
class RowPictures:
    """The pictures of one row.

    layers: JPEG bytes by name: `image`, or the sink that wrote it. box: size of the layer `image` in pixels. contours:
    of the mask, each as x, y, x, y, ... in pixels of that layer. parts: tiles of a slide: `why`, `p` and the JPEG.
    missing: why there is no `image`.
    """

    number: int
    layers: dict[str, bytes] = field(default_factory=dict)
    box: tuple[int, int] = (0, 0)
    contours: list[list[int]] = field(default_factory=list)
    parts: list[tuple[str, float, bytes]] = field(default_factory=list)
    missing: str = ""


def shrunk(pixels: Pixels, long_side_px: int = LONG_SIDE_PX) -> Pixels:
    """The pixels with a long side of at most `long_side_px`, by area averages."""
    height, width = pixels.shape[:2]
    scale = min(1.0, long_side_px / max(height, width))
    return resize(pixels, max(1, round(width * scale)), max(1, round(height * scale)), enlarge="cubic")


def jpeg(pixels: Pixels) -> bytes:
    """`[H, W, 3]` uint8 RGB as JPEG."""
    done, content = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ValueError(f"cannot encode pixels of shape {pixels.shape}")
    return content.tobytes()


def mask_contours(mask: Pixels, box: tuple[int, int]) -> list[list[int]]:
    """Outlines of a gray mask `[H, W]` where it is at least half, in pixels of a picture of size `box` (width, height).

    The largest 150, simplified to half a pixel.
    """
    level = resize(np.ascontiguousarray(mask), *box, enlarge="linear")
    inside = (cv2.GaussianBlur(level, (0, 0), 1.0) >= 128).astype(np.uint8)
    outlines, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    simple = [cv2.approxPolyDP(line, 0.6, True).reshape(-1) for line in outlines]
    largest = sorted((line for line in simple if len(line) >= 6), key=len, reverse=True)[:_MOST_CONTOURS]
    kept: list[list[int]] = []
    points = 0
    for line in largest:
        points += len(line) // 2
        if points > _MOST_POINTS:
            break
        kept.append([int(value) for value in line])
    return kept
