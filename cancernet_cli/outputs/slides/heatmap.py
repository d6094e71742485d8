"""Heat maps: tile probabilities over a slide's thumbnail, with scale bar, legend and caption."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from matplotlib import colormaps

from cancernet_cli.core.arrays import F32, I64, Bools, Pixels
from cancernet_cli.core.choices import UNSURE
from cancernet_cli.outputs.pictures.class_colours import UNSURE_COLOUR, class_colours
from cancernet_cli.outputs.pictures.lettering import text_band
from cancernet_cli.outputs.pictures.size import centred, picture_size, resized
from cancernet_cli.outputs.slides.heatmap_legend import draw_legend
from cancernet_cli.outputs.slides.results import FAILED, TileResults
from cancernet_cli.outputs.slides.tile_map import TileMap, TilePainter

_SHORTEST_LONG_SIDE_PX = 1024
_LEAST_WIDTH_PX = 720  # a narrower picture is centered, so that the legend has room
_OPACITY = 0.45
_UNLIKE, _UNTILED = "unlike training", "not in a tile"
_COLOURS = 256


def draw_heatmap(
    results: TileResults,
    thumbnail: Pixels,
    downsample: float,
    caption: Sequence[str],
    tissue: Bools | None = None,
) -> Pixels:
    """Draw the thumbnail in gray, under the color of the probability, wherever there is tissue with tiles.

    With two classes, the color turns from blue to red at the decision threshold. With more, it is the color of the most
    probable class, more saturated with higher probability. Overlapping tiles are averaged. Areas where at least half of
    the tiles are unsure are light gray, and under thin white lines where most look unlike the training images; stripes
    mark areas where all tiles failed, and dots tissue that no tile covers. Everything else keeps its original colors.

    Args:
        thumbnail: `[h, w, 3]` uint8 RGB, starting at (0, 0) of the slide. Drawn with a longer side of 1024 to 2048 px.
        downsample: Level-0 pixels per thumbnail pixel.
        caption: Lines below the picture.
        tissue: `[h, w]` bool; only it is colored. None colors all tiles to their edges.

    Returns:
        `[H, W, 3]` uint8 RGB.
    """
    height, width = thumbnail.shape[:2]
    size = picture_size(width, height, shortest_px=_SHORTEST_LONG_SIDE_PX)
    image = resized(thumbnail, size)
    grid = _Grid(results, size, downsample * width / size[0], downsample * height / size[1])
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    tiles = grid.mean(results.values)
    has_tile = ~np.isnan(tiles.values)
    shown = None if tissue is None else _enlarged(tissue, size)
    is_there = has_tile if shown is None else has_tile & shown

    scales = _scales(results)
    at = np.rint(tiles.values[is_there] * (_COLOURS - 1)).astype(np.int64)
    which = _most_probable(grid)[is_there] if len(scales) > 1 else 0
    picture = image.astype(np.float32)
    picture[is_there] = _blended(np.stack(list(scales.values()))[which, at], grey[is_there, None])

    under = float(np.median(grey[is_there])) if is_there.any() else 200.0
    flat = np.full((64, 256), under, np.float32)
    patterns = {}
    for title, where, pattern in _gray_areas(grid, tiles.failed, has_tile, is_there, shown):
        picture[where] = pattern(grey, max(size))[where, None]
        if where.any():
            patterns[title] = pattern(flat, max(size))
    width = max(size[0], _LEAST_WIDTH_PX)
    legend = draw_legend(
        width,
        {name: _blended(scale, under) for name, scale in scales.items()},
        threshold=results.threshold if results.positive else None,
        um_per_px=results.mpp * grid.step_x,
        patterns=patterns,
    )
    drawn = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return np.vstack([centred(drawn, width), legend, text_band(width, caption)])


@dataclass(frozen=True)
class _Grid:
    """A picture of `size` (width, height) whose pixels are `step_x` x `step_y` level-0 pixels."""

    results: TileResults
    size: tuple[int, int]
    step_x: float
    step_y: float

    def mean(self, values: F32) -> TileMap:
        """The mean over the tiles at each pixel of one value per tile, `[T]`."""
        painter = TilePainter(self.results, self.size[0], step_x=self.step_x, step_y=self.step_y, values=values)
        return painter.rows(0, self.size[1])


def _gray_areas(
    grid: _Grid, failed: Bools, has_tile: Bools, is_there: Bools, tissue: Bools | None
) -> Iterator[tuple[str, Bools, Callable[[F32, int], F32]]]:
    """Title, `[h, w]` and pattern of each kind of area without a class; later ones are drawn over earlier ones."""
    yield UNSURE, _of_most(grid, grid.results.unsure) & is_there, _pale
    yield _UNLIKE, _of_most(grid, grid.results.unlike) & is_there, _hatched
    yield FAILED, failed, _striped
    if tissue is not None:
        yield _UNTILED, _large(tissue & ~has_tile & ~failed), _dotted


def _blended(colour: Any, grey: Any) -> Any:
    """A color over gray tissue that shows through."""
    return _OPACITY * colour + (1 - _OPACITY) * grey


def _enlarged(mask: Bools, size: tuple[int, int]) -> Bools:
    """The mask at (width, height), its edges smooth."""
    soft = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(soft >= 0.5)


def _large(mask: Bools) -> Bools:
    """The mask without slivers, such as the fringe of tissue between the edges of tiles and of the tissue."""
    side = max(3, round(max(mask.shape) / 100))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    return np.asarray(opened > 0)


def _scales(results: TileResults) -> dict[str, F32]:
    """Color bars by title: `[256, 3]` float32 RGB, 0 to 255, for probabilities from 0 to 1.

    With two classes, from blue through pale yellow (at the threshold) to red: ColorBrewer's RdYlBu, which has equal
    lightness on both sides and is safe for color-blind readers. With more, from white to the color of each class.
    """
    p = np.linspace(0, 1, _COLOURS)
    if results.positive:
        threshold = 0.5 if results.threshold is None else min(max(results.threshold, 1e-6), 1 - 1e-6)
        place = np.interp(p, [0, threshold, 1], [0, 0.5, 1])
        return {results.shown: (colormaps["RdYlBu_r"](place)[:, :3] * 255).astype(np.float32)}
    colours = class_colours(results.classes, results.positive)
    return {name: (255 + p[:, None] * (np.array(rgb) - 255)).astype(np.float32) for name, rgb in colours.items()}


def _most_probable(grid: _Grid) -> I64:
    """`[h, w]`: index of the class with the highest mean probability over the tiles at each pixel."""
    best = np.full(grid.size[::-1], -1, np.float32)
    which = np.zeros(grid.size[::-1], np.int64)
    for number in range(len(grid.results.classes)):
        found = grid.mean(grid.results.probs[:, number]).values
        is_better = found > best  # False for NaN
        best[is_better], which[is_better] = found[is_better], number
    return which


def _of_most(grid: _Grid, which: Bools | None) -> Bools:
    """`[h, w]`: whether at least half of the tiles at each pixel are among `which`, `[T]`."""
    if which is None or not which.any():
        return np.zeros(grid.size[::-1], np.bool_)
    return np.asarray(grid.mean(which.astype(np.float32)).values >= 0.5)  # False for NaN


def _pale(grey: F32, longest_px: int) -> F32:
    """The pixels under light gray."""
    return np.asarray(_blended(UNSURE_COLOUR[0], grey), np.float32)


def _hatched(grey: F32, longest_px: int) -> F32:
    """The pixels under thin white lines that fall to the right."""
    period = max(8, round(longest_px / 128))
    y, x = np.indices(grey.shape, np.int32)
    return np.where((x - y) % period < max(1, period // 8), np.float32(255), grey).astype(np.float32)


def _striped(grey: F32, longest_px: int) -> F32:
    """The pixels, lightened, under dark stripes that rise to the right."""
    period = max(8, round(longest_px / 128))
    y, x = np.indices(grey.shape, np.int32)
    pale = 128 + grey / 2
    return np.where((x + y) % period < period / 4, np.float32(40), pale).astype(np.float32)


def _dotted(grey: F32, longest_px: int) -> F32:
    """The pixels under dark dots."""
    period = max(8, round(longest_px / 128))
    y, x = np.indices(grey.shape, np.int32)
    radius = max(1.0, period / 5)
    is_dot = np.hypot(x % period - period / 2, y % period - period / 2) < radius
    return np.where(is_dot, np.float32(40), grey).astype(np.float32)
