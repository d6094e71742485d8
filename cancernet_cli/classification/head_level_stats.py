"""A head for few patients: mean and spread of every channel of some levels, standardised, then one linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cancernet_cli.classification.base import heads


class LevelStats(nn.Module):
    """Texture statistics of the chosen levels and a linear layer on them.

    `centre` and `spread` hold the mean and standard deviation of each statistic over the training images; statistics
    that never vary have spread 1. All arithmetic is float32, whatever the backbone's precision.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, channels: tuple[int, ...], classes: int) -> None:
        super().__init__()
        features = 2 * sum(channels)
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.linear = nn.Linear(features, classes)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps `[B, C_i, H_i, W_i]` to logits `[B, K]` float32."""
        scaled = (level_statistics(maps) - self.centre) / self.spread
        return F.linear(scaled, self.linear.weight.float(), self.linear.bias.float())


def level_statistics(maps: list[Tensor]) -> Tensor:
    """Mean and standard deviation over space of each channel of each map.

    Args:
        maps: `[B, C_i, H_i, W_i]` each.

    Returns:
        `[B, 2 * sum(C_i)]` float32: the first map's means, its deviations, the second map's means, ...
    """
    found = []
    for level in maps:
        flat = level.float().flatten(2)
        mean = flat.mean(dim=2)
        variance = (flat - mean[:, :, None]).square().mean(dim=2)
        found += [mean, (variance + 1e-8).sqrt()]
    return torch.cat(found, dim=1)


@heads.register("level_stats", summary="mean and spread of each channel of the chosen levels, one linear layer")
def level_stats(channels: tuple[int, ...], classes: int) -> nn.Module:
    """Texture statistics and a linear layer."""
    return LevelStats(channels, classes)
