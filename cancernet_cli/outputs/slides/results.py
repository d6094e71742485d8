"""A slide's classified tiles, as the files beside its row show them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cancernet_cli.core.arrays import F32, I64, Bools

FAILED = "failed"


@dataclass(frozen=True)
class TileResults:
    """T tiles of one slide with K probabilities each; places and sizes are in pixels of level 0, as OpenSlide counts.

    A tile covers `x` to `x + tile_width_px`, and down likewise; what sticks out of the slide does not count.

    slide: its path in the table. width_px, height_px: the slide. mpp: um a pixel. x, y: `[T]` int64. probs: `[T, K]`
    float32, NaN for a tile that failed. labels: T names of classes; None for a tile that failed. positive: the class
    that `threshold` belongs to; empty where there are more than two classes.

    `outputs.slides.geojson.write_geojson(results, path, regions=...)`, `outputs.slides.heatmap.draw_heatmap(results, thumbnail,
    downsample, caption)` and `outputs.slides.probability_tiff.write_probability_tiff(results, path)` make files of them.

    Raises:
        ValueError: the arrays do not fit each other, or a tile lies outside the slide.
    """

    slide: str
    width_px: int
    height_px: int
    mpp: float
    tile_width_px: int
    tile_height_px: int
    x: I64
    y: I64
    probs: F32
    labels: list[str | None]
    classes: tuple[str, ...]
    positive: str
    threshold: float | None

    def __post_init__(self) -> None:
        tiles = len(self.x)
        shape = tiles, len(self.classes)
        if self.y.shape != (tiles,) or self.probs.shape != shape or len(self.labels) != tiles:
            raise ValueError(
                f"{tiles} places, probabilities of shape {self.probs.shape}, {len(self.labels)} labels "
                f"and {len(self.classes)} classes do not fit each other"
            )
        if [name is None for name in self.labels] != self.failed.tolist():
            raise ValueError("a tile that failed has neither probabilities nor a label, any other has both")
        outside = (self.x < 0) | (self.y < 0) | (self.x >= self.width_px) | (self.y >= self.height_px)
        if outside.any():
            at = int(np.argmax(outside))
            raise ValueError(
                f"a tile at ({self.x[at]}, {self.y[at]}) lies outside a slide of {self.width_px} x {self.height_px} px"
            )

    def __len__(self) -> int:
        return len(self.x)

    @cached_property
    def right(self) -> I64:
        """`[T]`: where each tile ends, at the slide's border at the latest."""
        return np.minimum(self.x + self.tile_width_px, self.width_px)

    @cached_property
    def bottom(self) -> I64:
        """`[T]`: where each tile ends below, at the slide's border at the latest."""
        return np.minimum(self.y + self.tile_height_px, self.height_px)

    @cached_property
    def failed(self) -> Bools:
        """`[T]` bool: the tiles that have no probabilities."""
        return np.asarray(np.isnan(self.probs).any(axis=1), np.bool_)

    @cached_property
    def values(self) -> F32:
        """`[T]`, 0 to 1: what maps show of a tile, named by `shown`; NaN for a tile that failed."""
        if self.positive:
            return np.asarray(self.probs[:, self.classes.index(self.positive)], np.float32)
        return np.asarray(self.probs.max(axis=1, initial=0), np.float32)  # the maximum of NaN is NaN

    @property
    def shown(self) -> str:
        """What `values` are, in words."""
        return f"probability of {self.positive}" if self.positive else "probability of the most likely class"
