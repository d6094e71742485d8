"""Images that tell their number by their gray, for tests of loaders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from cancernet_cli.core.records import FoundFile


def write_numbered(folder: Path, sides: Sequence[int]) -> list[FoundFile]:
    """Square PNGs `0.png`, `1.png`, ... of these sides; each pixel has the number of its file."""
    found = []
    for number, side in enumerate(sides):
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), np.full((side, side, 3), number, np.uint8))
        found.append(FoundFile(path.name, os.fsencode(path), path.stat().st_size, 1))
    return found
