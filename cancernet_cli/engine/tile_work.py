"""What `cancernet tile` does in worker processes: plan a slide, draw its pictures, and encode its tiles."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from cancernet_cli.core.arrays import I64
from cancernet_cli.core.figures import show_percent
from cancernet_cli.core.options import TilingOptions
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.limits import SLIDE_TIMES, WHOLE, FileLimits, failure_of, no_memory
from cancernet_cli.data.slides import UnreadableSlide, open_slide, shared_slide
from cancernet_cli.data.tiles.pixels import read_tiles
from cancernet_cli.data.tiles.slide_plan import Cut, SlidePlan, plan_slide, tile_boxes
from cancernet_cli.data.tiles.tiling import TileSize
from cancernet_cli.outputs.pictures.files import png_bytes
from cancernet_cli.outputs.pictures.tile_preview import draw_tile_preview

TILES_AT_ONCE = 64
_SOURCES = {
    "slide": "from the slide",
    "tiff_resolution": "from its TIFF resolution",
    "objective": "from its objective power",
    "option": "given with --mpp",
    "model": "ASSUMED: the model's",
}


@dataclass(frozen=True)
class TileSpan:
    """T tiles of a slide to encode. x, y: `[T]`, upper left corners at level 0."""

    location: bytes
    size: TileSize
    x: I64
    y: I64

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Planner:
    """Plans a slide: `planner(file)` gives its plan, without the thumbnail, and its pictures as PNG, by suffix."""

    cut: Cut
    options: TilingOptions

    def __call__(self, file: FoundFile) -> tuple[SlidePlan, dict[str, bytes]]:
        if file.problem is not None:
            raise UnreadableSlide(file.problem)
        with closing(open_slide(file.location)) as slide:
            plan = plan_slide(slide, self.cut, self.options)
        thumbnail, tissue = plan.thumbnail.pixels, plan.tissue
        preview = draw_tile_preview(thumbnail, tissue.mask, tissue.pen, tile_boxes(plan), _caption(file.path, plan))
        pictures = {".tissue.png": png_bytes(tissue.mask.astype(np.uint8) * 255), ".preview.png": png_bytes(preview)}
        return replace(plan, thumbnail=plan.thumbnail.without_pixels()), pictures


@dataclass(frozen=True)
class TileEncoder:
    """A `data.loading.load.Decoder`: from a span to its tiles as PNG, or why one cannot be read."""

    limits: FileLimits

    def __getitem__(self, span: TileSpan) -> list[bytes | Failure]:
        self.limits.begin(WHOLE, times=SLIDE_TIMES)
        try:
            read = read_tiles(shared_slide(span.location), span.x, span.y, span.size)
            return [read.failures.get(i) or png_bytes(read.pixels[i]) for i in range(len(span))]
        except UnreadableSlide as error:
            return self.lost(span, error.failure)
        except MemoryError:
            return self.lost(span, no_memory())
        except Exception as error:  # per span: one bad slide never ends a run
            return self.lost(span, failure_of("decode", error))

    def apart(self, span: TileSpan) -> list[TileSpan]:
        return [replace(span, x=span.x[i : i + 1], y=span.y[i : i + 1]) for i in range(len(span))]

    def lost(self, piece: TileSpan, failure: Failure) -> list[bytes | Failure]:
        return [failure] * len(piece)

    def join(self, loaded: Sequence[list[bytes | Failure]]) -> list[bytes | Failure]:
        return [tile for tiles in loaded for tile in tiles]


def _caption(name: str, plan: SlidePlan) -> list[str]:
    size, tissue, tiles = plan.tiles.size, plan.tissue, plan.tiles
    wide, high = (side * plan.resolution.mpp for side in (size.width_px, size.height_px))
    found = f"tissue {tissue.area_mm2:,.2f} mm² ({show_percent(100 * float(tissue.mask.mean()))})"
    if tissue.pen.any():
        found += f", pen {show_percent(100 * float(tissue.pen.mean()))}"
    lines = [
        os.path.basename(name),
        f"{len(tiles):,} tiles of {tiles.grid[0] * tiles.grid[1]:,}; {found}",
        f"{size.width_px} x {size.height_px} px each, {wide:.0f} x {high:.0f} µm, at {plan.target_mpp:.3g} µm/px",
        f"{plan.levels[0].width_px:,} x {plan.levels[0].height_px:,} px, {plan.resolution.mpp:.4g} µm/px "
        f"{_SOURCES[plan.resolution.source]}",
    ]
    return lines + ([f"flags: {', '.join(plan.flags)}"] if plan.flags else [])
