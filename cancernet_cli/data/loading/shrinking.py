"""Decode JPEGs at 1/2, 1/4 or 1/8 scale where a model's views need no more pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.images import BatchDecoder, DecodedImage
from cancernet_cli.data.loading.quality import quality
from cancernet_cli.data.loading.views import make_views, view_grid
from cancernet_cli.data.readers import read_image, read_shrunk


@dataclass(frozen=True)
class ShrinkingDecoder(BatchDecoder):
    """Decode only the pixels that the views need, and measure quality on them; originals keep full size."""

    def decode(self, file: FoundFile) -> tuple[np.ndarray, DecodedImage, np.ndarray]:
        """As `BatchDecoder.decode`; width and height are those of the full image."""
        found = read_shrunk(file.location, partial(needed, self.policy), max_pixels=self.max_pixels)
        views = make_views(found.pixels, self.policy, (found.width_px, found.height_px))
        decoded = DecodedImage(found.width_px, found.height_px, len(views), quality(found.pixels))
        whole = read_image(file.location, max_pixels=self.max_pixels) if self.keep_originals else found.pixels
        return whole, decoded, views


def needed(policy: InputPolicy, width_px: int, height_px: int) -> tuple[int, int]:
    """Width and height to which an image of this size is scaled before its views are cut."""
    grid = view_grid(width_px, height_px, policy)
    return grid.width_px, grid.height_px


def batch_decoder(
    policy: InputPolicy, max_pixels: int, *, keep_originals: bool = False, shrink: bool = False
) -> BatchDecoder:
    """The decoder of a run: `shrink` selects reduced-scale JPEG decoding."""
    return (ShrinkingDecoder if shrink else BatchDecoder)(policy, max_pixels, keep_originals)
