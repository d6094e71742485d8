"""Channel correlations of the chosen levels, standardised, then one linear layer: a head for few patients."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from cancernet_cli.classification.base import StandardisedLinear, heads


def channel_correlations(maps: list[Tensor]) -> Tensor:
    """Pearson correlation over space of every pair of channels of each map.

    The texture descriptor of Gatys et al. (arXiv:1505.07376) without each channel's mean and scale: it captures which
    patterns co-occur, independent of how staining and illumination scale each of them.

    Args:
        maps: `[B, C_i, H_i, W_i]` each.

    Returns:
        `[B, sum(C_i * (C_i - 1) / 2)]` float32, -1 to 1: each map's upper triangle, row by row.
    """
    found = []
    for level in maps:
        flat = _standardized(level)
        together = flat @ flat.transpose(1, 2) / flat.shape[2]
        rows, columns = _pairs(level.shape[1], level.device)
        found.append(together[:, rows, columns])
    return torch.cat(found, dim=1)


def _pairs(channels: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows and columns of the upper triangle of a `[C, C]` matrix, row by row."""
    if torch.compiler.is_exporting():  # OpenVINO has no triu_indices; the graph gets them as constants
        rows, columns = np.triu_indices(channels, k=1)
        return torch.from_numpy(rows), torch.from_numpy(columns)
    rows, columns = torch.triu_indices(channels, channels, offset=1, device=device)
    return rows, columns


def correlation_places(maps: list[Tensor], weights: Tensor) -> list[Tensor]:
    """What each place of each map adds to `channel_correlations(maps) @ weights`, `[B, H_i, W_i]`.

    A correlation is the mean over places of the product of two standardized channels.
    """
    found, start = [], 0
    for level in maps:
        channels = level.shape[1]
        rows, columns = _pairs(channels, level.device)
        of_pairs = torch.zeros(channels, channels, dtype=weights.dtype, device=weights.device)
        of_pairs[rows, columns] = weights[start : start + len(rows)]
        start += len(rows)
        flat = _standardized(level)
        together = (flat * (of_pairs @ flat)).sum(dim=1) / flat.shape[2]
        found.append(together.reshape(len(level), *level.shape[2:]))
    return found


def _standardized(level: Tensor) -> Tensor:
    """Channels with mean 0 and standard deviation 1 over places, `[B, C, H * W]`."""
    flat = level.float().flatten(2)
    flat = flat - flat.mean(dim=2, keepdim=True)
    return flat / (flat.square().mean(dim=2, keepdim=True).sqrt() + 1e-4)


@heads.register(
    "correlations",
    summary="a linear layer on the correlations between channels of the chosen levels",
    reads=channel_correlations,
    places=correlation_places,
    standardised=True,
    int8_sensitive=True,
)
def correlations(channels: tuple[int, ...], classes: int) -> nn.Module:
    """Channel correlations and a linear layer."""
    return StandardisedLinear(channel_correlations, sum(c * (c - 1) // 2 for c in channels), classes)
