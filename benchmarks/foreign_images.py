"""Images that a model of breast histology should not be asked about, for `out_of_domain.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from skimage.color import hed2rgb, rgb2hed

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.data.slides import open_slide

# Photographs that come with scikit-image's package; nothing is downloaded.
PHOTOS = (
    "astronaut", "brick", "camera", "chelsea", "clock", "coffee", "coins", "grass", "gravel", "hubble_deep_field",
    "moon", "page", "retina", "rocket", "text",
)  # fmt: skip
SKIN_TILES = 20
LEAST_TISSUE = 0.25
GLASS_GREYS = (120, 150, 180, 200, 210, 220, 230, 240, 245, 255)


def without_parents(height: int, width: int, slide: Path | None, factors: list[float]) -> Iterator[tuple[str, Pixels]]:
    """Skin, glass, noise and photographs as (kind, image) of one size.

    Args:
        slide: of skin; None for no skin. factors: by which its tiles are scaled.
    """
    rng = np.random.default_rng(0)
    for image in glass(height, width, rng):
        yield "glass", image
    for image in noise(height, width, rng):
        yield "noise", image
    for name in PHOTOS:
        yield "photograph", cropped(rgb8(np.asarray(getattr(skimage.data, name)())), height, width)
    if slide is not None:
        for factor in factors:
            yield from (("skin", image) for image in skin(slide, height, width, factor))


def derived(image: Pixels, rng: np.random.Generator) -> Iterator[tuple[str, Pixels]]:
    """The same field in the colors of immunohistochemistry, and at a quarter and at four times its magnification."""
    yield "IHC colors", ihc(image, rng)
    yield "magnification / 4", shrunk(image, 4)
    yield "magnification x 4", enlarged(image, 4)


def ihc(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Eosin replaced by DAB, in 0.6 to 1.6 times its amount."""
    stains = rgb2hed(image)
    stains[..., 2] = rng.uniform(0.6, 1.6) * np.maximum(stains[..., 1], 0)
    stains[..., 1] = 0
    return np.asarray((np.clip(hed2rgb(stains), 0, 1) * 255).round(), np.uint8)


def shrunk(image: Pixels, factor: int) -> Pixels:
    """The image shrunk, and repeated with its mirror images, without seams, to fill its size."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    row = np.concatenate([small if i % 2 == 0 else small[:, ::-1] for i in range(factor + 1)], axis=1)
    whole = np.concatenate([row if i % 2 == 0 else row[::-1] for i in range(factor + 1)])
    return np.ascontiguousarray(whole[:height, :width])


def enlarged(image: Pixels, factor: int) -> Pixels:
    """The middle of the image, enlarged to its size."""
    height, width = image.shape[:2]
    part = cropped(image, max(2, height // factor), max(2, width // factor), resize=False)
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def glass(height: int, width: int, rng: np.random.Generator) -> Iterator[Pixels]:
    """Uniform gray and white, tinted glass with sensor noise, and uneven light."""
    for grey in GLASS_GREYS:
        yield np.full((height, width, 3), grey, np.uint8)
    y, x = np.mgrid[:height, :width] / max(height, width)
    for _ in range(10):
        tint = rng.uniform([200, 210, 200], [250, 252, 250])
        light = 1 - rng.uniform(0, 0.3) * 2 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
        grain = rng.normal(0, rng.uniform(1, 6), (height, width, 3))
        yield np.clip(tint * light[..., None] + grain, 0, 255).astype(np.uint8)


def noise(height: int, width: int, rng: np.random.Generator) -> Iterator[Pixels]:
    """White noise, and blurred noise in color and in gray."""
    for _ in range(5):
        yield rng.integers(0, 256, (height, width, 3), np.uint8)
    for sigma in (1, 2, 4, 8):
        for channels in (3, 1, 3):
            field = cv2.GaussianBlur(rng.normal(0, 1, (height, width, channels)), (0, 0), sigma)
            field = field.reshape(height, width, channels) / field.std()
            yield np.clip(130 + 50 * np.broadcast_to(field, (height, width, 3)), 0, 255).astype(np.uint8)


def skin(slide: Path, height: int, width: int, factor: float) -> list[Pixels]:
    """Tiles with tissue of a slide's first level, scaled; evenly spaced."""
    source = open_slide(bytes(slide))
    whole = source.read_level(0, 0, 0, source.levels[0].width_px, source.levels[0].height_px)
    source.close()
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    scaled = np.asarray(cv2.resize(whole, None, fx=factor, fy=factor, interpolation=how), np.uint8)
    places = [
        (top, left)
        for top in range(0, scaled.shape[0] - height + 1, height)
        for left in range(0, scaled.shape[1] - width + 1, width)
    ]
    tiles = [np.ascontiguousarray(scaled[top : top + height, left : left + width]) for top, left in places]
    stained = [tile for tile in tiles if (tile.min(axis=2) < 200).mean() > LEAST_TISSUE]
    return stained[:: max(1, len(stained) // SKIN_TILES)]


def rgb8(image: np.ndarray) -> Pixels:
    """Any image as `[H, W, 3]` uint8."""
    if image.dtype != np.uint8:
        image = (255.0 * (image - image.min()) / (image.max() - image.min())).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., :3])


def cropped(image: Pixels, height: int, width: int, *, resize: bool = True) -> Pixels:
    """The middle of the image, first scaled, if wanted, until it just covers the size."""
    if resize:
        factor = max(height / image.shape[0], width / image.shape[1])
        size = max(width, round(image.shape[1] * factor)), max(height, round(image.shape[0] * factor))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])
