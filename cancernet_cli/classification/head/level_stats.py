"""Channel means and deviations of the chosen levels, standardised, then one linear layer: a head for few patients."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cancernet_cli.classification.base import StandardisedLinear, heads

EPSILON = 1e-8  # added to variances


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
        found += [mean, (variance + EPSILON).sqrt()]
    return torch.cat(found, dim=1)


def statistics_places(maps: list[Tensor], weights: Tensor) -> list[Tensor]:
    """What each place of each map adds to `level_statistics(maps) @ weights`, `[B, H_i, W_i]`.

    A mean is the sum of what each place adds to it. So is a standard deviation: the squared distances of the places
    from the mean, divided by the deviation.
    """
    found, start = [], 0
    for level in maps:
        channels, places = level.shape[1], level[0, 0].numel()
        of_mean, of_deviation = weights[start : start + 2 * channels].reshape(2, channels, 1, 1)
        start += 2 * channels
        level = level.float()
        squares = (level - level.mean(dim=(2, 3), keepdim=True)).square() + EPSILON
        deviation = squares.mean(dim=(2, 3), keepdim=True).sqrt()
        found.append((of_mean * level + of_deviation * squares / deviation).sum(dim=1) / places)
    return found


@heads.register(
    "level_stats",
    summary="a linear layer on each channel's mean and standard deviation over the chosen levels",
    reads=level_statistics,
    places=statistics_places,
    standardised=True,
    int8_sensitive=True,
)
def level_stats(channels: tuple[int, ...], classes: int) -> nn.Module:
    """Texture statistics and a linear layer."""
    return StandardisedLinear(level_statistics, 2 * sum(channels), classes)
