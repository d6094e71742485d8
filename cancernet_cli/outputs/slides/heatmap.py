"""Heat maps: tile probabilities over a slide's thumbnail, with scale bar, legend and caption."""

from __future__ import annotations

from collections.abc import Sequence

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
from cancernet_cli.outputs.slides.tile_map import TilePainter

_SHORTEST_LONG_SIDE_PX = 1024
_LEAST_WIDTH_PX = 720  # a narrower picture is centered, so that the legend has room
_OPACITY = 0.5
_UNLIKE = "unlike training"
_COLOURS = 256


def draw_heatmap(results: TileResults, thumbnail: Pixels, downsample: float, caption: Sequence[str]) -> Pixels:
    """Draw the thumbnail in gray, half covered by the color of the probability, wherever there are tiles.

    With two classes, the color turns from blue to red at the decision threshold. With more, it is the color of the most
    probable class, more saturated with higher probability. Overlapping tiles are averaged. Areas where at least half of
    the tiles are unsure are light gray, and under thin white lines where most look unlike the training images; stripes
    mark areas where all tiles failed. Areas without tiles keep their original colors.

    Args:
        thumbnail: `[h, w, 3]` uint8 RGB, starting at (0, 0) of the slide. Drawn with a longer side of 1024 to 2048 px.
        downsample: Level-0 pixels per thumbnail pixel.
        caption: Lines below the picture.

    Returns:
        `[H, W, 3]` uint8 RGB.
    """
    height, width = thumbnail.shape[:2]
    size = picture_size(width, height, shortest_px=_SHORTEST_LONG_SIDE_PX)
    image = resized(thumbnail, size)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    picture = image.astype(np.float32)
    step_x, step_y = downsample * width / size[0], downsample * height / size[1]
    tiles = TilePainter(results, size[0], step_x=step_x, step_y=step_y).rows(0, size[1])

    is_there = ~np.isnan(tiles.values)
    scales = _scales(results)
    colours = np.stack(list(scales.values()))
    which = _most_probable(results, size, step_x, step_y)[is_there] if len(scales) > 1 else 0
    at = np.rint(tiles.values[is_there] * (_COLOURS - 1)).astype(np.int64)
    picture[is_there] = _OPACITY * colours[which, at] + (1 - _OPACITY) * grey[is_there, None]
    is_unsure = _of_most(results.unsure, results, size, step_x, step_y)
    picture[is_unsure] = _OPACITY * UNSURE_COLOUR[0] + (1 - _OPACITY) * grey[is_unsure, None]
    is_unlike = _of_most(results.unlike, results, size, step_x, step_y)
    picture[is_unlike] = _hatched(grey, max(size))[is_unlike, None]
    picture[tiles.failed] = _striped(grey, max(size))[tiles.failed, None]

    under = float(np.median(grey[is_there])) if is_there.any() else 200.0
    flat = np.full((64, 256), under, np.float32)
    width = max(size[0], _LEAST_WIDTH_PX)
    legend = draw_legend(
        width,
        {name: _OPACITY * scale + (1 - _OPACITY) * under for name, scale in scales.items()},
        threshold=results.threshold if results.positive else None,
        um_per_px=results.mpp * step_x,
        patterns={
            **({UNSURE: _OPACITY * UNSURE_COLOUR[0] + (1 - _OPACITY) * flat} if is_unsure.any() else {}),
            **({_UNLIKE: _hatched(flat, max(size))} if is_unlike.any() else {}),
            **({FAILED: _striped(flat, max(size))} if tiles.failed.any() else {}),
        },
    )
    drawn = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return np.vstack([centred(drawn, width), legend, text_band(width, caption)])


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


def _most_probable(results: TileResults, size: tuple[int, int], step_x: float, step_y: float) -> I64:
    """`[h, w]`: index of the class with the highest mean probability over the tiles at each pixel."""
    best = np.full(size[::-1], -1, np.float32)
    which = np.zeros(size[::-1], np.int64)
    for number in range(len(results.classes)):
        painter = TilePainter(results, size[0], step_x=step_x, step_y=step_y, values=results.probs[:, number])
        found = painter.rows(0, size[1]).values
        is_better = found > best  # False for NaN
        best[is_better], which[is_better] = found[is_better], number
    return which


def _of_most(which: Bools | None, results: TileResults, size: tuple[int, int], step_x: float, step_y: float) -> Bools:
    """`[h, w]`: whether at least half of the tiles at each pixel are among `which`, `[T]`."""
    if which is None or not which.any():
        return np.zeros(size[::-1], np.bool_)
    painter = TilePainter(results, size[0], step_x=step_x, step_y=step_y, values=which.astype(np.float32))
    return np.asarray(painter.rows(0, size[1]).values >= 0.5)  # False for NaN


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
