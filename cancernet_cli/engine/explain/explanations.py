"""Explanations of images, and of the tiles that say most about a slide (`engine.explain.explainer`)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from cancernet_cli.core.arrays import F32, I64
from cancernet_cli.core.cards import Card, InputPolicy
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.images import DecodedImage
from cancernet_cli.data.loading.views import view_grid
from cancernet_cli.data.scales import image_policy
from cancernet_cli.outputs.sink import Explanation

if TYPE_CHECKING:
    from cancernet_cli.engine.explain.explainer import Explainer

TILES = 4  # of a slide, at each end of the scale


class Explanations:
    """Makes explanations when they are asked for; loads the networks for the first one."""

    def __init__(self, folder: Path, card: Card) -> None:
        self._folder, self._card = folder, card
        self._lock = threading.Lock()
        self._explainer: Explainer | None = None

    def of_image(self, views: Tensor, shown: str, file: FoundFile, image: DecodedImage) -> Callable[[], Explanation]:
        """What explains an image, computed once when called.

        Args:
            views: `[V, h, w, 3]` uint8, of the image. shown: the class that is shown.
        """
        policy = image_policy(self._card.input, file.truth)
        return cache(partial(self._image, views, shown, image.width_px, image.height_px, policy))

    def of_tiles(self, views: Tensor, shown: str) -> Callable[[], list[Explanation]]:
        """What explains tiles, one view each, computed once when called."""
        return cache(partial(self._tiles, views, shown))

    def _image(self, views: Tensor, shown: str, width_px: int, height_px: int, policy: InputPolicy) -> Explanation:
        maps, constant, explanation = self._explain(views, shown)
        total, outside = added_up(maps, width_px, height_px, policy)
        return explanation(total, constant + outside)

    def _tiles(self, views: Tensor, shown: str) -> list[Explanation]:
        maps, constant, explanation = self._explain(views, shown)
        return [explanation(one, constant) for one in maps]

    def _explain(self, views: Tensor, shown: str) -> tuple[F32, float, Callable[[F32, float], Explanation]]:
        direction, toward, away = direction_of(self._card, shown)
        with self._lock:
            if self._explainer is None:
                from cancernet_cli.engine.explain.explainer import Explainer  # timm and torchvision take two seconds

                self._explainer = Explainer(self._folder, self._card)
            found = self._explainer(views, direction)
        return found.maps, found.constant, partial(Explanation, toward, away, found.is_exact)


def added_up(maps: F32, width_px: int, height_px: int, policy: InputPolicy) -> tuple[F32, float]:
    """The mean of views' maps, added at their places in the scaled image, `[H, W]`.

    Unlike masks (`data.loading.views.stitch`), views that overlap add up: the logits of an image are the mean over its
    views. The second number is the sum over what was mirrored to fill a view.
    """
    grid = view_grid(width_px, height_px, policy)
    total = np.zeros((max(grid.height_px, policy.height_px), max(grid.width_px, policy.width_px)), np.float32)
    for one, (left, top) in zip(maps, grid.corners, strict=True):
        total[top : top + policy.height_px, left : left + policy.width_px] += one / len(maps)
    inside = total[: grid.height_px, : grid.width_px]
    return inside, float(total.sum(dtype=np.float64) - inside.sum(dtype=np.float64))


def direction_of(card: Card, shown: str) -> tuple[F32, str, str]:
    """The direction of the score that is explained, and the classes at its two ends.

    With two classes the score is the log odds of the positive one; with more, the logit of the shown class less the
    mean of the others.

    Returns:
        `[K]` float32, the class toward which the score rises, and what it falls toward.
    """
    classes, positive = card.architecture.classes, card.decision.positive
    up = positive or shown
    direction = np.full(len(classes), -1 / (len(classes) - 1), np.float32)
    direction[classes.index(up)] = 1
    others = [name for name in classes if name != up]
    return direction, up, others[0] if len(others) == 1 else "other classes"


def most_telling(probs: F32, positive: int | None) -> I64:
    """Numbers of the tiles that say most, the first most: of two classes `TILES` at each end, otherwise twice as many.

    Args:
        probs: `[T, K]` float32, NaN for tiles without probabilities. positive: index of the positive of two classes.
    """
    known = np.flatnonzero(np.isfinite(probs).all(axis=1))
    if positive is None:
        return known[np.argsort(-probs[known].max(axis=1), kind="stable")][: 2 * TILES]
    order = known[np.argsort(-probs[known, positive], kind="stable")]
    return order if len(order) <= 2 * TILES else np.concatenate([order[:TILES], order[-TILES:]])
