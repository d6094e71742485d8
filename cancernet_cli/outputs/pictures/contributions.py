"""Maps of what each place adds to the log odds of a class, drawn over the image, with a diverging legend."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from cancernet_cli.core.arrays import F32, Pixels
from cancernet_cli.core.text import one_line
from cancernet_cli.outputs.pictures.class_colours import RGB, on_dark
from cancernet_cli.outputs.pictures.lettering import BACKGROUND, QUIET, TEXT, fitted, font, line_size
from cancernet_cli.outputs.pictures.size import picture_size, resized

_LONGEST_PX, _SHORTEST_PX = 1024, 480  # of each of the two pictures
_STRONGEST = 0.75  # opacity of the largest contribution
_TENTH = 90  # percentile above which the hottest tenth lies
_GAP_PX = 8
_TILE_PX = 256
_CONTOUR = "Line: around the tenth of the image that speaks most for the label."


def in_percent(contributions: F32) -> F32:
    """Contributions `[h, w]` per hundredth of the image's area, which do not depend on its number of pixels."""
    return np.asarray(contributions * (contributions.size / 100), np.float32)


def scale_of(maps: Sequence[F32]) -> float:
    """The value that is drawn most strongly: the 99th percentile of all magnitudes, more than 0."""
    magnitudes = np.concatenate([np.abs(one).ravel() for one in maps]) if len(maps) else np.ones(1)
    return float(max(np.percentile(magnitudes, 99), 1e-12))


def draw_contributions(
    image: Pixels,
    contributions: F32,
    colours: tuple[RGB, RGB],
    *,
    toward_hot: bool,
    caption: Sequence[str],
    legend: tuple[str, str],
) -> Pixels:
    """Draw the image, and next to it (below, if it is wide) in gray under the map, then legend and caption.

    Args:
        image: `[H, W, 3]` uint8 RGB.
        contributions: `[h, w]` per hundredth of the area (`in_percent`), in the image's proportions.
        colours: Of positive and negative contributions.
        toward_hot: The contour is around the tenth of the image with the highest contributions, else the lowest.
        legend: What positive and negative contributions speak for.

    Returns:
        `[H', W', 3]` uint8 RGB.
    """
    height, width = image.shape[:2]
    shrunk = min(1.0, _LONGEST_PX / max(height, width))
    size = picture_size(round(width * shrunk) or 1, round(height * shrunk) or 1, shortest_px=_SHORTEST_PX)
    picture = resized(image, size)
    values = _smooth(contributions, size)
    limit = scale_of([values])
    drawn = _with_contour(_painted(picture, values, limit, colours), values if toward_hot else -values)
    is_wide = width > 1.6 * height
    gap = np.full((_GAP_PX, size[0], 3) if is_wide else (size[1], _GAP_PX, 3), BACKGROUND, np.uint8)
    both = np.concatenate([picture, gap, drawn], axis=0 if is_wide else 1)
    band = _legend_band(both.shape[1], limit, colours, legend, [caption[0], _CONTOUR, *caption[1:]])
    return np.vstack([both, band])


def draw_tile_contributions(
    tiles: Pixels,
    maps: Sequence[F32],
    titles: Sequence[str],
    colours: tuple[RGB, RGB],
    *,
    caption: Sequence[str],
    legend: tuple[str, str],
) -> Pixels:
    """Draw tiles in a row each of two: the tile, and in gray under its map; all maps share one scale.

    Args:
        tiles: `[T, h, w, 3]` uint8 RGB. maps: T maps per hundredth of a tile's area. titles: one above each tile.

    Returns:
        `[H', W', 3]` uint8 RGB: four tiles and their maps in a row.
    """
    height, width = tiles.shape[1:3]
    size = (_TILE_PX, max(1, round(_TILE_PX * height / width)))
    smooth = [_smooth(one, size, 60) for one in maps]  # a tile has fewer places than a photo
    limit = scale_of(smooth)
    columns = min(4, len(tiles))
    cells = []
    for tile, values, title in zip(tiles, smooth, titles, strict=True):
        picture = resized(tile, size)
        head = _title(size[0], title)
        cells.append(np.vstack([head, picture, _painted(picture, values, limit, colours)]))
    cells += [np.full_like(cells[0], BACKGROUND)] * (-len(cells) % columns)
    gap = np.full((cells[0].shape[0], _GAP_PX, 3), BACKGROUND, np.uint8)
    rows = []
    for first in range(0, len(cells), columns):
        row = [part for cell in cells[first : first + columns] for part in (cell, gap)][:-1]
        rows.append(np.hstack(row))
    sheet = np.vstack(rows)
    return np.vstack([sheet, _legend_band(sheet.shape[1], limit, colours, legend, caption)])


def _smooth(contributions: F32, size: tuple[int, int], smooth: float = 110) -> F32:
    """The map at (width, height), the steps between places smoothed over a fraction of it, one part in `smooth`."""
    enlarged = cv2.resize(contributions.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.GaussianBlur(enlarged, (0, 0), max(2.0, max(size) / smooth)), np.float32)


def _painted(picture: Pixels, values: F32, limit: float, colours: tuple[RGB, RGB]) -> Pixels:
    """The picture in gray, under the color of each value's sign, as strong as the value."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None]
    alpha = (_STRONGEST * np.clip(np.abs(values) / limit, 0, 1))[..., None]
    tint = np.where(values[..., None] > 0, np.array(colours[0], np.float32), np.array(colours[1], np.float32))
    return np.rint(grey * (1 - alpha) + tint * alpha).astype(np.uint8)


def _with_contour(picture: Pixels, values: F32) -> Pixels:
    """A thin black line with a white rim around the highest tenth."""
    hottest = (values > np.percentile(values, _TENTH)).astype(np.uint8)
    contours, _ = cv2.findContours(hottest, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    drawn = picture.copy()
    line = max(1, round(max(picture.shape) / 700))
    for colour, width in (((255, 255, 255), 3 * line), ((20, 20, 20), line)):
        cv2.drawContours(drawn, contours, -1, colour, width, cv2.LINE_AA)
    return drawn


def _title(width: int, text: str) -> Pixels:
    letters = font(14)
    band = Image.new("RGB", (width, 24), BACKGROUND)
    ImageDraw.Draw(band).text((2, 12), fitted(text, letters, width - 4), TEXT, letters, anchor="lm")
    return np.asarray(band)


def _legend_band(
    width: int, limit: float, colours: tuple[RGB, RGB], legend: tuple[str, str], caption: Sequence[str]
) -> Pixels:
    """The color bar, from what speaks most against to what speaks most for, and lines of text below it."""
    size = line_size(width)
    pad, line, high = round(size * 0.8), round(size * 1.4), round(size * 1.1)
    band = Image.new("RGB", (width, 2 * pad + 2 * line + high + round(size * 1.2) + line * len(caption)), BACKGROUND)
    draw = ImageDraw.Draw(band)
    letters, small = font(size), font(round(size * 0.85))
    left, right, top = pad, width - pad, pad + line
    half = (right - left) / 2 - size
    toward, away = (fitted(f"toward {one_line(name)}", letters, half) for name in legend)
    draw.text((left, pad), away, on_dark(colours[1]), letters)
    draw.text((right, pad), toward, on_dark(colours[0]), letters, anchor="ra")
    values = np.linspace(-limit, limit, right - left, dtype=np.float32)
    bar = _painted(np.full((high, right - left, 3), 190, np.uint8), np.tile(values, (high, 1)), limit, colours)
    band.paste(Image.fromarray(bar), (left, top))
    middle = (left + right) / 2
    for x, value, anchor in ((left, -limit, "la"), (middle, 0.0, "ma"), (right, limit, "ra")):
        draw.text((x, top + high + size // 4), f"{value:+.2g}" if value else "0", QUIET, small, anchor=anchor)
    unit = "log odds per 1 % of the area"
    draw.text(
        (left + (middle - left) / 2, top + high + size // 4), fitted(unit, small, half), QUIET, small, anchor="ma"
    )
    for i, text in enumerate(caption):
        y = top + high + round(size * 1.6) + line * i
        draw.text((pad, y), fitted(text, small, width - 2 * pad), TEXT if i == 0 else QUIET, small)
    return np.asarray(band)
