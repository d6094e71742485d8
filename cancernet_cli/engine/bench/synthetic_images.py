"""Generate reproducible H&E-like images for measurements."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from cancernet_cli.core import interruption
from cancernet_cli.core.arrays import Pixels

DIFFERENT = 16  # distinct images; further files are hard links to them
GLASS, STROMA = (243, 240, 244), (226, 170, 203)
ENDINGS = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif"}
SAVE: dict[str, dict[str, Any]] = {"png": {}, "jpeg": {"quality": 90}, "tiff": {"compression": "tiff_lzw"}}


def field(seed: int, width_px: int, height_px: int) -> Pixels:
    """A field of view with purple nuclei, fibrous pink stroma and glass, `[H, W, 3]` uint8 RGB.

    Camera noise makes a 700 x 460 pixel PNG as large as those of BreakHis (580 kB), and as slow to decode.
    """
    random = np.random.default_rng(seed)
    coarse = random.random((max(2, height_px // 40), max(2, width_px // 60))).astype(np.float32)
    fibres: Any = cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_CUBIC)
    glass = np.clip((fibres - 0.75) * 6, 0, 1)[..., None]
    image: Any = np.array(STROMA, np.float32) - 26 * fibres[..., None]
    image = (image * (1 - glass) + np.array(GLASS, np.float32) * glass).astype(np.uint8)
    for _ in range(width_px * height_px // 900):
        centre = (int(random.integers(width_px)), int(random.integers(height_px)))
        axes = (int(random.integers(4, 9)), int(random.integers(3, 7)))
        purple = [int(random.integers(low, high)) for low, high in ((84, 128), (52, 92), (126, 164))]
        cv2.ellipse(image, centre, axes, int(random.integers(180)), 0, 360, purple, -1, cv2.LINE_AA)
    noise = random.normal(0, 3.2, image.shape).astype(np.float32)
    return np.asarray(np.clip(cv2.GaussianBlur(image, (3, 3), 0) + noise, 0, 255), dtype=np.uint8)


def write_fields(folder: Path, count: int, width_px: int, height_px: int, image_format: str) -> list[Path]:
    """Write `count` image files with up to 16 distinct images into a folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    ending = ENDINGS[image_format]
    paths = [folder / f"{i:06d}{ending}" for i in range(count)]
    for seed, path in enumerate(paths[:DIFFERENT]):
        interruption.check()
        Image.fromarray(field(seed, width_px, height_px)).save(path, **SAVE[image_format])
    for i, path in enumerate(paths[DIFFERENT:]):
        try:
            os.link(paths[i % DIFFERENT], path)
        except OSError:  # a file system without hard links
            path.write_bytes(paths[i % DIFFERENT].read_bytes())
    return paths
