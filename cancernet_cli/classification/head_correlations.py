"""A head for few patients: how the channels of some levels vary together, standardised, then one linear layer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from cancernet_cli.classification.base import heads
from cancernet_cli.classification.standardised import StandardisedLinear


def channel_correlations(maps: list[Tensor]) -> Tensor:
    """Pearson's correlation over space of every two channels of each map.

    The texture descriptor of Gatys et al. (arXiv:1505.07376), freed of each channel's mean and strength: what is left
    is which patterns occur together, whatever stain and light do to the strength of each.

    Args:
        maps: `[B, C_i, H_i, W_i]` each.

    Returns:
        `[B, sum(C_i * (C_i - 1) / 2)]` float32, -1 to 1: the first map's upper triangle row by row, the second's, ...
    """
    found = []
    for level in maps:
        flat = level.float().flatten(2)
        flat = flat - flat.mean(dim=2, keepdim=True)
        flat = flat / (flat.square().mean(dim=2, keepdim=True).sqrt() + 1e-4)
        together = flat @ flat.transpose(1, 2) / flat.shape[2]
        rows, columns = _pairs(level.shape[1], level.device)
        found.append(together[:, rows, columns])
    return torch.cat(found, dim=1)


def _pairs(channels: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows and columns of the upper triangle of a `[C, C]` matrix, row by row."""
    if torch.compiler.is_exporting():  # OpenVINO knows no triu_indices; the graph gets them as constants
        rows, columns = np.triu_indices(channels, k=1)
        return torch.from_numpy(rows), torch.from_numpy(columns)
    rows, columns = torch.triu_indices(channels, channels, offset=1, device=device)
    return rows, columns


@heads.register(
    "correlations",
    summary="correlation of every two channels of the chosen levels, one linear layer",
    reads=channel_correlations,
)
def correlations(channels: tuple[int, ...], classes: int) -> nn.Module:
    """Channel correlations and a linear layer."""
    return StandardisedLinear(channel_correlations, sum(c * (c - 1) // 2 for c in channels), classes)
