"""Novelty: how unlike the training images a view looks to the network.

A Mahalanobis distance between statistics of the view and those of the training views (Lee et al., "A Simple Unified
Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks", NeurIPS 2018, arXiv:1807.03888), here over
the feature maps that the head reads anyway and over the colors of the unprocessed pixels. `training.novelty` fits it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cancernet_cli.classification.head.level_stats import level_statistics
from cancernet_cli.core.pixels import DARKEST

COLORS = 12
_PAIRS = ((0, 1), (0, 2), (1, 2))


def color_statistics(pixels: Tensor) -> Tensor:
    """Statistics of the optical densities of unprocessed views, computed on every other row.

    Args:
        pixels: `[B, 3, H, W]` float, 0 to 1.

    Returns:
        `[B, 12]` float32: of red, green and blue the mean, the standard deviation, and the mean difference between
        horizontal neighbors; then the correlations between the channels.
    """
    density = -torch.log10(pixels[:, :, ::2].float().clamp_min(DARKEST))
    steps = (density[..., 1:] - density[..., :-1]).abs().mean(dim=(2, 3))
    flat = density.flatten(2)
    mean = flat.mean(dim=2)
    apart = flat - mean[:, :, None]
    spread = (apart.square().mean(dim=2) + 1e-8).sqrt()
    together = [(apart[:, i] * apart[:, j]).mean(dim=1) / (spread[:, i] * spread[:, j] + 1e-3) for i, j in _PAIRS]
    return torch.cat([mean, spread, steps, torch.stack(together, dim=1)], dim=1)


def domain_width(channels: Sequence[int]) -> int:
    """D, the number of features, for maps with these channels."""
    return 2 * sum(channels) + COLORS


def domain_features(maps: list[Tensor], colors: Tensor) -> Tensor:
    """What novelty is computed from: `[B, D]` float32.

    Args:
        maps: `[B, C_i, H_i, W_i]`, the feature maps that the head reads. colors: from `color_statistics`.
    """
    return torch.cat([level_statistics(maps), colors.float()], dim=1)


class Novelty(nn.Module):
    """The novelty of views, 1 at the limit of the model's card.

    With z the standardized features, `sqrt(floor * |z|^2 + sum(gains * (z @ axes)^2))`.

    Args:
        features: D. rank: R, the number of axes.
    """

    center: Tensor
    spread: Tensor
    axes: Tensor
    gains: Tensor
    floor: Tensor

    def __init__(self, features: int, rank: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.register_buffer("axes", torch.zeros(features, rank))
        self.register_buffer("gains", torch.zeros(rank))
        self.register_buffer("floor", torch.ones(1))

    def forward(self, maps: list[Tensor], colors: Tensor) -> Tensor:
        """Novelty `[B]` float32; arguments as `domain_features`."""
        z = (domain_features(maps, colors) - self.center) / self.spread
        along = (z[:, :, None] * self.axes).sum(dim=1)  # not a matrix product, which autocast would compute in bfloat16
        squared = self.floor * z.square().sum(dim=1) + (self.gains * along.square()).sum(dim=1)
        return squared.clamp_min(0).sqrt()
