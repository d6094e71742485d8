"""What heads for few patients share: something read of the maps, standardised, then one linear layer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class StandardisedLinear(nn.Module):
    """A linear layer on standardised features.

    `centre` and `spread` hold the mean and standard deviation of each feature over the training images; those that
    never vary have spread 1. All arithmetic is float32, whatever the backbone's precision.

    Args:
        reads: maps `[B, C_i, H_i, W_i]` to features `[B, F]` float32. features: F.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, reads: Callable[[list[Tensor]], Tensor], features: int, classes: int) -> None:
        super().__init__()
        self.reads = reads
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.linear = nn.Linear(features, classes)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps `[B, C_i, H_i, W_i]` to logits `[B, K]` float32."""
        scaled = (self.reads(maps) - self.centre) / self.spread
        return F.linear(scaled, self.linear.weight.float(), self.linear.bias.float())
