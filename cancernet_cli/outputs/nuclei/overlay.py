"""Pictures of nuclei: outlines on an image, next to the true ones if known; dots on a slide's thumbnail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

from cancernet_cli.core.arrays import F32, Labels, Pixels
from cancernet_cli.core.figures import counted
from cancernet_cli.core.nuclei import Nuclei
from cancernet_cli.outputs.pictures.lettering import TEXT, fitted, font, line_size, text_band
from cancernet_cli.outputs.pictures.scale_bar import draw_scale_bar, round_length_um
from cancernet_cli.outputs.pictures.size import LONGEST_PX, picture_size, resized

FOUND, TRUE = (
    (225, 255, 60),
    (86, 220, 255),
)  # yellow-green and light blue: both differ from H&E, and to the color-blind
_RIM = (16, 28, 12)
_SHORTEST_PX = 640  # below this, the caption would be wider than the image
_SHORTEST_SLIDE_PX = 1600  # so that dots stay apart
_NUCLEUS_PX = 20
_SUBPIXELS = 4
_GAP_PX = 6
_NOTE = "Research use only: not for diagnosis."
_BAR_SHARE = 0.2  # of the width, at most


def draw_nuclei(
    image: Pixels, nuclei: Nuclei, truth: Labels | None, *, name: str, mpp: float | None, note: str = ""
) -> Pixels:
    """The outlines on an image, with a caption of count, model and scale; true outlines in a second panel.

    Args:
        image: `[H, W, 3]` uint8 RGB. truth: `[H, W]` int32 labels. name: of the model. mpp: micrometers per pixel.
        note: a line below the count.
    """
    height, width = image.shape[:2]
    size = picture_size(width, height, shortest_px=_shortest_px(nuclei, max(width, height)))
    scale = size[0] / width
    panels = [_outlined(image, nuclei.outlines, size, scale, FOUND)]
    legend = [(FOUND, f"{name}: {counted(len(nuclei), 'nucleus', 'nuclei')}")]
    if truth is not None:
        rings = true_outlines(truth)
        panels.append(_outlined(image, rings, size, scale, TRUE))
        legend.append((TRUE, f"true: {counted(len(np.unique(truth[truth > 0])), 'nucleus', 'nuclei')}"))
    picture = np.hstack([part for panel in panels for part in (panel, _gap(panel))][:-1])
    lines = [*([note] if note else []), _NOTE]
    band = _legend(picture.shape[1], legend, mpp and mpp / scale)
    return np.vstack([picture, band, text_band(picture.shape[1], lines)])


def draw_nuclei_on_slide(
    thumbnail: Pixels, nuclei: Nuclei, *, downsample: float, title: str, name: str, mpp: float
) -> Pixels:
    """A dot per nucleus on a slide's thumbnail, with a caption.

    Args:
        thumbnail: `[h, w, 3]` uint8 RGB; each pixel covers `downsample` pixels of level 0. mpp: of level 0.
    """
    height, width = thumbnail.shape[:2]
    size = picture_size(width, height, shortest_px=_SHORTEST_SLIDE_PX)
    picture = resized(thumbnail, size)
    places = np.stack([nuclei.x, nuclei.y], axis=1) / downsample * (size[0] / width)
    columns, rows = np.clip(places.astype(np.int64), 0, np.array(size) - 1).T
    picture[rows, columns] = FOUND
    legend = [(FOUND, f"{name}: {counted(len(nuclei), 'nucleus', 'nuclei')}, one dot each")]
    band = _legend(size[0], legend, mpp * downsample * width / size[0])
    return np.vstack([picture, band, text_band(size[0], [title, _NOTE])])


def true_outlines(truth: Labels) -> list[F32]:
    """Outlines of labels, halfway between pixels, as `core.nuclei.Nuclei` has them."""
    rings: list[F32] = []
    for label in np.unique(truth[truth > 0]).tolist():
        found, _ = cv2.findContours((truth == label).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        rings += [ring[:, 0].astype(np.float32) + 0.5 for ring in found]
    return rings


def _outlined(image: Pixels, rings: Sequence[F32], size: tuple[int, int], scale: float, color: Any) -> Pixels:
    picture = resized(image, size)
    points = [np.rint((ring * scale - 0.5) * (1 << _SUBPIXELS)).astype(np.int32) for ring in rings]
    thin = max(1, round(max(size) / 1600))
    for ink, thickness in ((_RIM, thin + 2), (color, thin)):
        cv2.polylines(picture, points, True, ink, thickness, cv2.LINE_AA, _SUBPIXELS)
    return picture


def _shortest_px(nuclei: Nuclei, longest_px: int) -> int:
    """The least long side of a picture on which small nuclei are wide enough to be seen inside their outlines."""
    if not len(nuclei):
        return _SHORTEST_PX
    width = 2 * float(np.sqrt(np.median(nuclei.area) / np.pi))
    return int(min(LONGEST_PX, max(_SHORTEST_PX, longest_px * _NUCLEUS_PX / width)))


def _gap(panel: Pixels) -> Pixels:
    return np.full((len(panel), _GAP_PX, 3), 255, np.uint8)


def _legend(width: int, entries: Sequence[tuple[Any, str]], um_per_px: float | None) -> Pixels:
    """One entry per panel, each a piece of line and its meaning; and a scale bar, if the pixel size is known."""
    band = Image.fromarray(text_band(width, ["", ""] if um_per_px else [""]))
    draw, size = ImageDraw.Draw(band), line_size(width)
    room = width
    if um_per_px:
        longest = width * _BAR_SHARE
        length = round_length_um(um_per_px, longest) / um_per_px
        draw_scale_bar(draw, round(width - size - length), round(1.5 * size), um_per_px, longest, size)
        room = round(width - 2 * size - longest)
    part = room / len(entries)
    for i, (color, words) in enumerate(entries):
        left, middle = i * part + size, band.height / 2
        draw.line((left, middle, left + 2 * size, middle), color, max(3, size // 5))
        text = fitted(words, font(size), part - 4.5 * size)
        draw.text((left + 2.8 * size, middle), text, TEXT, font(size), anchor="lm")
    return np.asarray(band)
