"""A slide's tiles worked out by hand: neighbours that overlap, tiles that stick out of the slide, tiles that failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cancernet_cli.outputs.slides.results import TileResults


def results(
    places: Sequence[tuple[int, int]],
    malignant: Sequence[float],
    *,
    slide: tuple[int, int] = (100, 60),
    tile: tuple[int, int] = (40, 40),
    threshold: float = 0.5,
    **others: Any,
) -> TileResults:
    """Tiles of one slide with the probability of `malignant` of each; NaN where it failed."""
    p = np.asarray(malignant, np.float32)
    labels = [None if np.isnan(v) else "malignant" if v >= threshold else "benign" for v in p]
    x, y = np.asarray(places, np.int64).reshape(-1, 2).T
    fields: dict[str, Any] = {
        "slide": "a/b.svs",
        "mpp": 0.5,
        "probs": np.stack([1 - p, p], axis=1),
        "labels": labels,
        "classes": ("benign", "malignant"),
        "positive": "malignant",
        "threshold": threshold,
    }
    size = {"width_px": slide[0], "height_px": slide[1], "tile_width_px": tile[0], "tile_height_px": tile[1]}
    return TileResults(**size, x=x, y=y, **(fields | others))


def overlapping() -> TileResults:
    """100 x 60 px in tiles of 40, 20 apart; one failed alone, one beneath others, the last ones stick out.

    Columns of 20 px, rows of 20 px, which tile covers which place:

        0     0 1     1   .    3
        0 2f  0 1 2f  1   .    3
        2f    2f      .   4f   4f
    """
    nan = float("nan")
    return results([(0, 0), (20, 0), (0, 20), (80, 0), (60, 40)], [0.75, 0.25, nan, 1.0, nan])


OVERLAPPING = np.array(
    [
        # 20 px a place: the mean of the tiles over it, NaN where there is none or all of them failed
        [0.75, 0.5, 0.25, np.nan, 1.0],
        [0.75, 0.5, 0.25, np.nan, 1.0],
        [np.nan, np.nan, np.nan, np.nan, np.nan],
    ],
    np.float32,
)
OVERLAPPING_FAILED = np.array([[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 0, 1, 1]], bool)
