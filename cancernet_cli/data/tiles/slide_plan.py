"""Plan a slide: resolution, thumbnail, tissue and tiles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.options import TilingOptions
from cancernet_cli.data.resolution import (
    ANISOTROPIC,
    ASSUMED,
    DISAGREES,
    MAGNIFIED,
    NOT_BELIEVED,
    OVERRIDDEN,
    Resolution,
    resolve_resolution,
)
from cancernet_cli.data.slides.base import Level, Slide
from cancernet_cli.data.slides.thumbnail import Thumbnail, make_thumbnail
from cancernet_cli.data.tiles.tiling import TilePlan, plan_tiles, tile_size
from cancernet_cli.data.tiles.tissue import MASK_MPP, Tissue, find_tissue

NO_TISSUE = "no_tissue"
TOO_DARK = "too_dark"
DAMAGED = "thumbnail_damaged"

_DARK_BELOW = 100
_LONGEST_THUMBNAIL_PX = 4096
_SHORTEST_THUMBNAIL_PX = 512  # of a small slide, for a readable preview

_WORDS = {
    ASSUMED: "it has no resolution metadata; {mpp:.3g} um per pixel, as in the tiles, is assumed (set it with --mpp)",
    NOT_BELIEVED: "its resolution metadata is implausible for a scanner, and ignored",
    ANISOTROPIC: "its pixels are not square; tiles are cut as if they were",
    DISAGREES: "its metadata has {mpp:.3g} um per pixel, but its objective means {other:.3g} (set it with --mpp)",
    OVERRIDDEN: "--mpp {mpp:.3g} replaces the {other:.3g} um per pixel of its metadata",
    MAGNIFIED: "at {mpp:.3g} um per pixel, its tiles are enlarged more than twofold: do not trust the results",
    NO_TISSUE: "no tissue was found (--tissue none uses all tiles)",
    TOO_DARK: "it is too dark to find tissue (--tissue none uses all tiles)",
    DAMAGED: "parts of it cannot be decoded; they count as tissue, and their tiles may fail",
}


@dataclass(frozen=True)
class Cut:
    """Geometry of tiles: each is read in this size, at `mpp` micrometres per pixel.

    That is the size of a view, unless the model's card has a smaller one, which is enlarged to a view
    (`loading.views.whole_views`).
    """

    view_width_px: int
    view_height_px: int
    mpp: float


@dataclass(frozen=True)
class SlidePlan:
    """A slide's tiles, and everything that determines their positions."""

    vendor: str
    levels: tuple[Level, ...]
    resolution: Resolution
    target_mpp: float
    thumbnail: Thumbnail
    tissue: Tissue
    tiles: TilePlan
    flags: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """The slide's row in slides.parquet."""
        size = self.tiles.size
        return {
            "vendor": self.vendor,
            "width_px": self.levels[0].width_px,
            "height_px": self.levels[0].height_px,
            "levels": len(self.levels),
            "mpp": self.resolution.mpp,
            "mpp_source": self.resolution.source,
            "flags": " ".join(self.flags),
            "tile_mpp": self.target_mpp,
            "tile_width_px": size.width_px,
            "tile_height_px": size.height_px,
            "view_width_px": size.view_width_px,
            "view_height_px": size.view_height_px,
            "grid_tiles": self.tiles.grid[0] * self.tiles.grid[1],
            "tiles": len(self.tiles),
            "tissue_area_mm2": self.tissue.area_mm2,
            "tissue_fraction": float(self.tissue.mask.mean()),
            "pen_fraction": float(self.tissue.pen.mean()),
        }

    def tile_columns(self) -> dict[str, Any]:
        """The columns of tiles.parquet, except for the slide's name."""
        tiles = self.tiles
        return {
            "x": tiles.x,
            "y": tiles.y,
            "width_px": tiles.size.width_px,
            "height_px": tiles.size.height_px,
            "mpp": self.target_mpp,
            "tissue_fraction": tiles.tissue_fraction,
            "pen_fraction": tiles.pen_fraction,
        }

    def warnings(self) -> list[str]:
        """What the user should know about the slide, one sentence each."""
        values = {"mpp": self.resolution.mpp, "other": self.resolution.other_mpp}
        return [_WORDS[flag].format(**values) for flag in self.flags if flag in _WORDS]


def plan_slide(slide: Slide, cut: Cut, options: TilingOptions) -> SlidePlan:
    """Plan an open slide.

    Raises:
        UnreadableSlide: no part of it can be decoded.
    """
    resolution = resolve_resolution(slide.scale, target_mpp=cut.mpp, slide_mpp=options.mpp)
    thumbnail = make_thumbnail(slide, downsample=_thumbnail_downsample(slide.levels[0], resolution.mpp))
    tissue = find_tissue(
        thumbnail.pixels,
        downsample=thumbnail.downsample,
        mpp=resolution.mpp * thumbnail.downsample,
        method=options.tissue,
    )
    tissue = replace(tissue, mask=tissue.mask | thumbnail.unreadable)
    size = tile_size(cut.view_width_px, cut.view_height_px, target_mpp=cut.mpp, slide_mpp=resolution.mpp)
    tiles = plan_tiles(
        slide.levels[0].width_px,
        slide.levels[0].height_px,
        size,
        tissue,
        overlap=options.overlap,
        min_tissue=0.0 if options.tissue == "none" else options.min_tissue,
    )
    more: list[str] = []
    if not tissue.mask.any():
        more.append(TOO_DARK if _is_dark(thumbnail.pixels) else NO_TISSUE)
    if thumbnail.unreadable.any():
        more.append(DAMAGED)
    flags = (*resolution.flags, *more, *slide.flags)
    return SlidePlan(slide.vendor, slide.levels, resolution, cut.mpp, thumbnail, tissue, tiles, flags)


def tile_boxes(plan: SlidePlan) -> np.ndarray[Any, np.dtype[np.float64]]:
    """`[T, 4]`: left, top, right and bottom of the tiles in thumbnail pixels."""
    tiles, scale = plan.tiles, plan.thumbnail.downsample
    right, bottom = tiles.x + tiles.size.width_px, tiles.y + tiles.size.height_px
    return np.stack([tiles.x, tiles.y, right, bottom], axis=1) / scale


def _is_dark(pixels: Pixels) -> bool:
    """Whether even the lightest pixels are dark, as in the flag `dark` of images."""
    return float(np.percentile(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), 95)) < _DARK_BELOW


def _thumbnail_downsample(level: Level, mpp: float) -> float:
    longest = max(level.width_px, level.height_px)
    wanted = min(MASK_MPP / mpp, longest / _SHORTEST_THUMBNAIL_PX)
    return max(1.0, wanted, longest / _LONGEST_THUMBNAIL_PX)
