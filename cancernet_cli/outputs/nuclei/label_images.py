"""Label images: the value of a pixel is the id of its nucleus, 0 is background."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from cancernet_cli.core.arrays import F32, I64
from cancernet_cli.core.files import atomic_write

_BLOCK_PX = 512
_SUBPIXELS = 4  # bits of a coordinate behind the point


def write_labels(labels: NDArray[np.int32], path: Path) -> None:
    """Write the labels of an image `[H, W]` as TIFF: 16 bits if they suffice, otherwise 32.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_write(path, durable=False) as temporary:
        tifffile.imwrite(
            temporary,
            labels.astype(label_type(int(labels.max(initial=0)))),
            compression="zlib",
            metadata=None,
            software="CancerNet",
        )


def write_outlines_as_labels(
    outlines: Sequence[F32], labels: I64, path: Path, *, width_px: int, height_px: int, mpp: float
) -> None:
    """Write a slide's nuclei at full resolution as a tiled BigTIFF without a pyramid, one row of blocks at a time.

    Args:
        outlines: N rings `[P, 2]`, in pixels of level 0. labels: `[N]`.

    Raises:
        OutputError: the file cannot be written.
    """
    kind = label_type(int(labels.max(initial=0)))
    with atomic_write(path, durable=False) as temporary, tifffile.TiffWriter(temporary, bigtiff=True) as file:
        file.write(
            _blocks(outlines, labels, width_px, height_px, kind),
            shape=(height_px, width_px),
            dtype=kind,
            tile=(_BLOCK_PX, _BLOCK_PX),
            compression="zlib",
            photometric="minisblack",
            metadata=None,
            software="CancerNet",
            resolution=(1e4 / mpp, 1e4 / mpp),
            resolutionunit="CENTIMETER",
        )


def label_type(most: int) -> Any:
    """The smallest of uint16 and uint32 that holds a label."""
    return np.uint16 if most <= np.iinfo(np.uint16).max else np.uint32


def _blocks(
    outlines: Sequence[F32], labels: I64, width_px: int, height_px: int, kind: Any
) -> Iterator[NDArray[np.generic]]:
    """The blocks of the image in row-major order."""
    tops = np.array([ring[:, 1].min() for ring in outlines])
    bottoms = np.array([ring[:, 1].max() for ring in outlines])
    width = math.ceil(width_px / _BLOCK_PX) * _BLOCK_PX
    for top in range(0, height_px, _BLOCK_PX):
        strip = np.zeros((_BLOCK_PX, width), np.int32)
        for row in np.flatnonzero((tops < top + _BLOCK_PX) & (bottoms > top)).tolist():
            # From corners of pixels to their centers, which OpenCV counts from
            points = (outlines[row] - (0.5, top + 0.5)) * (1 << _SUBPIXELS)
            cv2.fillPoly(strip, [np.rint(points).astype(np.int32)], int(labels[row]), cv2.LINE_8, _SUBPIXELS)
        strip[:, width_px:] = 0
        strip[height_px - top :] = 0
        for left in range(0, width, _BLOCK_PX):
            yield np.ascontiguousarray(strip[:, left : left + _BLOCK_PX].astype(kind))
