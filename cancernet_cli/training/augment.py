"""Augmentation of images and masks: geometry, scale, stain, brightness, blur and compression."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg
from numpy.random import Generator

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.pixels import resize
from cancernet_cli.training.stain_variation import restained, stain_change


@dataclass(frozen=True)
class AugmentPolicy:
    """Strengths and probabilities of augmentation; the defaults are those for a U-Net.

    Every variant is rotated and flipped at random. With probability `zoom_chance` it is rescaled by a log-uniform
    factor in `zoom`; a view that would need more than the image has is mirrored at its border with `mirror`, and else
    zoomed out less. With probability `blur_chance` it gets a Gaussian blur of up to `blur` pixels. It is always
    re-stained: the amount of each stain is multiplied by up to `exp(stain)` or its inverse, and all optical densities
    by up to `exp(light)`; with probability `own_stain_chance` the stain vectors are the image's own (Macenko), else the
    published ones (HED). With probability `jpeg_chance` it is compressed at a quality in `jpeg`.
    """

    zoom: tuple[float, float] = (0.6, 1.7)
    zoom_chance: float = 1.0
    mirror: bool = False
    stain: float = 0.35
    light: float = 0.25
    own_stain_chance: float = 0.0
    blur: float = 1.0
    blur_chance: float = 0.5
    jpeg: tuple[int, int] = (50, 95)
    jpeg_chance: float = 0.0


def random_crop(
    image: Pixels, mask: Pixels, side_px: int, policy: AugmentPolicy, rng: Generator
) -> tuple[Pixels, Pixels]:
    """A crop rotated by any angle, flipped, rescaled and re-stained, and its mask.

    Args:
        image: `[H, W, 3]` uint8 RGB.
        mask: `[H, W]` uint8, 0 or 255.

    Returns:
        `[side_px, side_px, 3]` uint8 and `[side_px, side_px]` uint8 (0 or 255); the image is mirrored at its border.
    """
    height, width = mask.shape
    zoom = _zoom(policy, rng)
    angle = rng.uniform(0, 2 * np.pi)
    flip = rng.choice([-1.0, 1.0])
    # The centre is anywhere such that the crop, before rotation, stays inside where possible.
    margin = side_px / zoom / 2
    centre = [_between(margin, size - margin, rng) for size in (width, height)]
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle) * flip, np.cos(angle) * flip]])
    matrix = np.column_stack([turn, side_px / 2 - turn @ centre])
    size = (side_px, side_px)
    crop = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    inside = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    crop = recoloured(np.asarray(crop, np.uint8), policy, rng)
    return crop, np.where(np.asarray(inside) >= 128, np.uint8(255), np.uint8(0))


def random_view(image: Pixels, width_px: int, height_px: int, policy: AugmentPolicy, rng: Generator) -> Pixels:
    """A random view of an image for a classifier: rotated by right angles, flipped, rescaled and re-stained.

    Right angles do not interpolate, so a variant that is not rescaled keeps the texture of the image. The view is
    inside the image: where it would not fit, the zoom is the least that fits and rotations are by 180 degrees, unless
    the policy mirrors the image.

    Args:
        image: `[H, W, 3]` uint8 RGB, at least a view's size.

    Returns:
        `[height_px, width_px, 3]` uint8, contiguous.
    """
    height, width = image.shape[:2]
    zoom = _zoom(policy, rng)
    if not policy.mirror:
        zoom = max(zoom, width_px / width, height_px / height)
    quarters, flip = int(rng.integers(4)), bool(rng.integers(2))
    sides = [round(width_px / zoom), round(height_px / zoom)]
    if policy.mirror:
        image = _mirrored(image, *(sides[::-1] if quarters % 2 else sides))
        height, width = image.shape[:2]
    if quarters % 2 and (sides[1] > width or sides[0] > height):
        quarters -= 1
    if quarters % 2:
        sides.reverse()
    left, top = (int(rng.integers(whole - side + 1)) for whole, side in zip((width, height), sides, strict=True))
    part = np.rot90(image[top : top + sides[1], left : left + sides[0]], quarters)
    part = np.ascontiguousarray(part[:, ::-1] if flip else part)
    return recoloured(resize(part, width_px, height_px, enlarge="linear"), policy, rng)


def recoloured(crop: Pixels, policy: AugmentPolicy, rng: Generator) -> Pixels:
    """The crop blurred, re-stained and compressed, in this order, by the policy; `[H, W, 3]` uint8."""
    if policy.blur > 0 and rng.random() < policy.blur_chance:
        crop = np.asarray(cv2.GaussianBlur(crop, (0, 0), max(rng.uniform(0, policy.blur), 0.1)), np.uint8)
    crop = restain(crop, policy, rng)
    if rng.random() < policy.jpeg_chance:
        crop = compressed(crop, int(rng.integers(policy.jpeg[0], policy.jpeg[1] + 1)))
    return crop


def restain(image: Pixels, policy: AugmentPolicy, rng: Generator) -> Pixels:
    """The image with random changes of stain and brightness; `[H, W, 3]` uint8."""
    own = bool(rng.random() < policy.own_stain_chance)
    return restained(image, stain_change(image, policy.stain, policy.light, rng, own=own))


def compressed(image: Pixels, quality: int) -> Pixels:
    """The image after JPEG compression with 4:2:0 chroma subsampling; `[H, W, 3]` uint8."""
    encoded = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=quality, colorsubsampling="420")
    return np.asarray(simplejpeg.decode_jpeg(encoded), np.uint8)


def rescaled(image: Pixels, policy: AugmentPolicy, rng: Generator) -> Pixels:
    """The image rescaled by a random factor in the policy's range; `[H, W, 3]` to `[H', W', 3]` uint8."""
    zoom = float(np.exp(rng.uniform(*np.log(policy.zoom))))
    width_px, height_px = (max(16, round(side * zoom)) for side in image.shape[1::-1])
    return resize(image, width_px, height_px, enlarge="linear")


def _mirrored(image: Pixels, width_px: int, height_px: int) -> Pixels:
    """The image in the middle of its mirror images, with at least this size."""
    height, width = image.shape[:2]
    if width >= width_px and height >= height_px:
        return image
    across, down = max(0, width_px - width), max(0, height_px - height)
    borders = down // 2, down - down // 2, across // 2, across - across // 2
    return np.asarray(cv2.copyMakeBorder(image, *borders, borderType=cv2.BORDER_REFLECT), np.uint8)


def _zoom(policy: AugmentPolicy, rng: Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(policy.zoom)))) if rng.random() < policy.zoom_chance else 1.0


def _between(low: float, high: float, rng: Generator) -> float:
    return (low + high) / 2 if high <= low else rng.uniform(low, high)
