"""What each place of an image adds to the score of a class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cancernet_cli.classification.base import Classifier, LinearHead, StandardisedLinear, heads


@dataclass(frozen=True)
class Contributions:
    """Maps of B views, of which each place holds what it adds to a score.

    levels: `[B, H_i, W_i]` float32 each. constant: what no place adds. If `is_exact`, the sum of all places and the
    constant is the score; otherwise (Grad-CAM) only the pattern has a meaning, and `constant` is 0.
    """

    levels: list[Tensor]
    constant: float
    is_exact: bool

    def at_size(self, height_px: int, width_px: int) -> Tensor:
        """One map `[B, height, width]` float32, whose sum is that of all levels: places spread over their pixels."""
        found = torch.zeros(len(self.levels[0]), height_px, width_px)
        for level in self.levels:
            enlarged = torch.nn.functional.interpolate(
                level[:, None].cpu(), (height_px, width_px), mode="nearest-exact"
            )
            total = level.sum(dim=(1, 2)).cpu()
            share = enlarged[:, 0] * (level[0].numel() / (height_px * width_px))
            # Where sizes do not divide, some places cover more pixels than others
            found += share + ((total - share.sum(dim=(1, 2))) / (height_px * width_px))[:, None, None]
        return found


def contributions(classifier: Classifier, head: str, pixels: Tensor, direction: Tensor) -> Contributions:
    """What each place of normalized pixels adds to the score `logits @ direction`.

    A head that states its `places` is linear in means over places, so its score falls into contributions of places,
    exactly: class activation maps (Zhou et al., arXiv:1512.04150) for all of these heads. A standardized feature counts
    from its mean over the training images; what is subtracted for that is spread evenly. Other heads get
    Grad-CAM (Selvaraju et al., arXiv:1610.02391) at the deepest map, without its ReLU, so that both signs are seen.

    Args:
        head: Its name in the registry.
        pixels: `[B, 3, H, W]` float32, normalized.
        direction: `[K]` float32; for two classes -1 and 1 give the difference of their logits.
    """
    places = heads[head].facts.get("places")
    if places is None or not isinstance(classifier.head, LinearHead):
        return _grad_cam(classifier, pixels, direction)
    with torch.no_grad():
        maps = classifier.backbone(pixels)
        weights = direction @ classifier.head.linear.weight.float()
        subtracted = torch.zeros(())
        if isinstance(classifier.head, StandardisedLinear):
            weights = weights / classifier.head.spread
            subtracted = weights @ classifier.head.centre
        levels = places(maps, weights)
        count = sum(level[0].numel() for level in levels)
        levels = [level - subtracted / count for level in levels]
        return Contributions(levels, float(direction @ classifier.head.linear.bias.float()), is_exact=True)


def _grad_cam(classifier: Classifier, pixels: Tensor, direction: Tensor) -> Contributions:
    with torch.enable_grad():
        maps = [level.detach().requires_grad_() for level in _maps(classifier, pixels)]
        score = (classifier.head(maps) @ direction).sum()
        (gradient,) = torch.autograd.grad(score, maps[-1])
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return Contributions([(weights * maps[-1]).sum(dim=1).detach()], 0.0, is_exact=False)


@torch.no_grad()
def _maps(classifier: Classifier, pixels: Tensor) -> list[Tensor]:
    return [level.float() for level in classifier.backbone(pixels)]
