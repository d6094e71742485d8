"""A slide's classified tiles, from which heat maps, GeoJSON and probability maps are made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cancernet_cli.core.arrays import F32, I64, Bools
from cancernet_cli.core.choices import UNSURE

FAILED = "failed"


@dataclass(frozen=True)
class TileResults:
    """T tiles of one slide with K probabilities each; positions and sizes are in level-0 pixels, as in OpenSlide.

    A tile covers `x` to `x + tile_width_px`, and likewise for y; the part outside the slide is ignored.

    Attributes:
        slide: Its path in the table.
        width_px, height_px: Size of the slide.
        mpp: Micrometers per pixel.
        x, y: `[T]` int64, left and top edges.
        probs: `[T, K]` float32; NaN for failed tiles.
        labels: T class names, or `unsure`; None for failed tiles.
        unlike: `[T]` bool, tiles flagged as unlike the training images; None for none.
        positive: The class to which the decision `threshold` applies; empty with more than two classes.

    Raises:
        ValueError: The arrays have inconsistent shapes, or a tile is outside the slide.
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
    unlike: Bools | None = None

    def __post_init__(self) -> None:
        tiles = len(self.x)
        shape = tiles, len(self.classes)
        if self.y.shape != (tiles,) or self.probs.shape != shape or len(self.labels) != tiles:
            raise ValueError(
                f"{tiles} places, probabilities of shape {self.probs.shape}, {len(self.labels)} labels "
                f"and {len(self.classes)} classes do not match"
            )
        if [name is None for name in self.labels] != self.failed.tolist():
            raise ValueError("a failed tile must have neither probabilities nor a label, any other tile both")
        outside = (self.x < 0) | (self.y < 0) | (self.x >= self.width_px) | (self.y >= self.height_px)
        if outside.any():
            at = int(np.argmax(outside))
            raise ValueError(
                f"the tile at ({self.x[at]}, {self.y[at]}) is outside the slide of "
                f"{self.width_px} x {self.height_px} px"
            )

    def __len__(self) -> int:
        return len(self.x)

    @cached_property
    def right(self) -> I64:
        """`[T]`: right edge of each tile, clipped to the slide."""
        return np.minimum(self.x + self.tile_width_px, self.width_px)

    @cached_property
    def bottom(self) -> I64:
        """`[T]`: bottom edge of each tile, clipped to the slide."""
        return np.minimum(self.y + self.tile_height_px, self.height_px)

    @cached_property
    def failed(self) -> Bools:
        """`[T]` bool: tiles without probabilities."""
        return np.asarray(np.isnan(self.probs).any(axis=1), np.bool_)

    @cached_property
    def unsure(self) -> Bools:
        """`[T]` bool: tiles whose label is `unsure`."""
        return np.array([name == UNSURE for name in self.labels], np.bool_)

    @cached_property
    def values(self) -> F32:
        """`[T]`, 0 to 1: the value shown in maps, described by `shown`; NaN for failed tiles."""
        if self.positive:
            return np.asarray(self.probs[:, self.classes.index(self.positive)], np.float32)
        return np.asarray(self.probs.max(axis=1, initial=0), np.float32)  # the maximum of NaN is NaN

    @property
    def shown(self) -> str:
        """Description of `values`."""
        return f"probability of {self.positive}" if self.positive else "probability of the most likely class"
