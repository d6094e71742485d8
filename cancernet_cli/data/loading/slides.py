"""Plan slides, read their tiles and decode images in workers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from cancernet_cli.core.arrays import F32, I64
from cancernet_cli.core.options import TilingOptions
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.images import BatchDecoder, DecodedBatch
from cancernet_cli.data.loading.limits import SLIDE_TIMES, WHOLE, FileLimits, failure_of, no_memory
from cancernet_cli.data.loading.quality import brightness, sharpness
from cancernet_cli.data.loading.views import whole_views
from cancernet_cli.data.slides import Slide, UnreadableSlide, shared_slide
from cancernet_cli.data.tiles.pixels import read_tiles
from cancernet_cli.data.tiles.slide_plan import Cut, SlidePlan, plan_slide
from cancernet_cli.data.tiles.tiling import TileSize


@dataclass(frozen=True)
class SlideToPlan:
    """Work: find a slide's tissue and place its tiles."""

    file: FoundFile


@dataclass(frozen=True)
class TileSpan:
    """Work: read T tiles of a slide.

    numbers, x, y: `[T]` int64: indices in the slide's plan, and upper left corners at level 0.
    """

    file: FoundFile
    size: TileSize
    numbers: I64
    x: I64
    y: I64

    def __len__(self) -> int:
        return len(self.numbers)

    def part(self, at: slice) -> TileSpan:
        return replace(self, numbers=self.numbers[at], x=self.x[at], y=self.y[at])


@dataclass(frozen=True)
class PlannedSlide:
    """A slide's plan, or the reason why there is none; `seen` as in `DecodedImage`."""

    file: FoundFile
    plan: SlidePlan | Failure
    seen: bool | None = None


@dataclass(frozen=True)
class DecodedTiles:
    """The T tiles of a span.

    pixels: `[G, h, w, 3]` uint8, the views of the tiles that could be read, in order.
    good: `[G]` int64, their indices in the span.
    blur, brightness: `[G]` float32, see `data.loading.quality`; of a tile before it is enlarged.
    failures: the reasons for the other tiles, by index in the span.
    """

    span: TileSpan
    pixels: torch.Tensor
    good: I64
    blur: F32
    brightness: F32
    failures: dict[int, Failure] = field(default_factory=dict)

    def pin_memory(self) -> DecodedTiles:
        """The tiles in pinned memory."""
        return replace(self, pixels=self.pixels.pin_memory())


@dataclass(frozen=True)
class Idle:
    """Work: nothing; keeps the loader running until more work is known. Comes back as it is."""


Work = list[FoundFile] | SlideToPlan | TileSpan | Idle
Done = DecodedBatch | PlannedSlide | DecodedTiles | Idle


@dataclass(frozen=True)
class SlideDecoder:
    """A `data.loading.load.Decoder` for images and slides.

    keep_thumbnails: keep the thumbnail in each slide's plan (up to 50 MB).
    """

    images: BatchDecoder
    cut: Cut
    options: TilingOptions
    keep_thumbnails: bool = False

    def __getitem__(self, work: Work) -> Done:
        match work:
            case Idle():
                return work
            case SlideToPlan(file):
                return self._plan(file)
            case TileSpan():
                return self._read(work)
            case files:
                return self.images[files]

    def apart(self, work: Work) -> list[Work]:
        match work:
            case TileSpan():
                return [work.part(slice(i, i + 1)) for i in range(len(work))]
            case list():
                return [*self.images.apart(work)]
            case _:
                return [work]

    def lost(self, piece: Work, failure: Failure) -> Done:
        match piece:
            case SlideToPlan(file):
                return PlannedSlide(file, failure)
            case TileSpan():
                return self._failed(piece, failure)
            case list():
                return self.images.lost(piece, failure)
            case Idle():
                return piece

    def join(self, loaded: Sequence[Done]) -> Done:
        tiles = [one for one in loaded if isinstance(one, DecodedTiles)]
        if tiles:
            return _joined(tiles)
        images = [one for one in loaded if isinstance(one, DecodedBatch)]
        return self.images.join(images) if images else loaded[0]

    def _begin(self) -> None:
        FileLimits(self.images.timeout_s, self.images.max_pixels).begin(WHOLE, times=SLIDE_TIMES)

    def _plan(self, file: FoundFile) -> PlannedSlide:
        self._begin()
        try:
            plan = plan_slide(_opened(file), self.cut, self.options)
            seen = self.images.has_seen(plan.thumbnail.pixels)
            kept = plan if self.keep_thumbnails else replace(plan, thumbnail=plan.thumbnail.without_pixels())
            return PlannedSlide(file, kept, seen)
        except UnreadableSlide as error:
            return PlannedSlide(file, error.failure)
        except MemoryError:
            return PlannedSlide(file, no_memory("plan", "its thumbnail"))
        except Exception as error:  # per slide: one bad slide never ends a run
            return PlannedSlide(file, failure_of("plan", error))

    def _read(self, span: TileSpan) -> DecodedTiles:
        self._begin()
        try:
            read = read_tiles(_opened(span.file), span.x, span.y, span.size)
        except UnreadableSlide as error:
            return self._failed(span, error.failure)
        except MemoryError:
            return self._failed(span, no_memory())
        except Exception as error:  # per span: one bad slide never ends a run
            return self._failed(span, failure_of("decode", error))
        good = np.array([i for i in range(len(span)) if i not in read.failures], np.int64)
        pixels = read.pixels if len(good) == len(span) else read.pixels[good]
        blur, light = (np.array([measure(tile) for tile in pixels], np.float32) for measure in (sharpness, brightness))
        views = torch.from_numpy(whole_views(pixels, self.images.policy))
        return DecodedTiles(span, views, good, blur, light, read.failures)

    def _failed(self, span: TileSpan, failure: Failure) -> DecodedTiles:
        none, nothing = np.empty(0, np.int64), np.empty(0, np.float32)
        failures = dict.fromkeys(range(len(span)), failure)
        return DecodedTiles(span, self.images.no_views(), none, nothing, nothing, failures)


def _opened(file: FoundFile) -> Slide:
    """The open slide, if the file has not changed since discovery."""
    if file.problem is not None:
        raise UnreadableSlide(file.problem)
    slide = shared_slide(file.location)
    status = os.stat(file.location)
    if (status.st_size, status.st_mtime_ns) != (file.size_bytes, file.mtime_ns):
        raise UnreadableSlide(Failure("read", "FileChanged", "the file has changed since the run started"))
    return slide


def _joined(tiles: Sequence[DecodedTiles]) -> DecodedTiles:
    starts = np.cumsum([0, *(len(one.span) for one in tiles)])[:-1].tolist()
    spans = [one.span for one in tiles]
    numbers, x, y = (np.concatenate([getattr(span, name) for span in spans]) for name in ("numbers", "x", "y"))
    return DecodedTiles(
        replace(spans[0], numbers=numbers, x=x, y=y),
        torch.cat([one.pixels for one in tiles]),
        np.concatenate([one.good + start for one, start in zip(tiles, starts, strict=True)]),
        np.concatenate([one.blur for one in tiles]),
        np.concatenate([one.brightness for one in tiles]),
        {start + i: why for one, start in zip(tiles, starts, strict=True) for i, why in one.failures.items()},
    )
