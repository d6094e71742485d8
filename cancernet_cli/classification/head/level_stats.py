"""Channel means and deviations of the chosen levels, standardised, then one linear layer: a head for few patients."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cancernet_cli.classification.base import StandardisedLinear, heads


def level_statistics(maps: list[Tensor]) -> Tensor:
    """Mean and standard deviation over space of each channel of each map.

    Args:
        maps: `[B, C_i, H_i, W_i]` each.

    Returns:
        `[B, 2 * sum(C_i)]` float32: the first map's means, its deviations, then the second map's, ...
    """
    found = []
    for level in maps:
        flat = level.float().flatten(2)
        mean = flat.mean(dim=2)
        variance = (flat - mean[:, :, None]).square().mean(dim=2)
        found += [mean, (variance + 1e-8).sqrt()]
    return torch.cat(found, dim=1)


@heads.register(
    "level_stats",
    summary="a linear layer on each channel's mean and standard deviation over the chosen levels",
    reads=level_statistics,
    standardised=True,
    int8_sensitive=True,
)
def level_stats(channels: tuple[int, ...], classes: int) -> nn.Module:
    """Texture statistics and a linear layer."""
    return StandardisedLinear(level_statistics, 2 * sum(channels), classes)
