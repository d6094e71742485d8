"""The paper's head: the output of the convolutions is the input of the classifier."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from cancernet_cli.classification.base import heads

# What a 224 x 224 view has at stride 32; the pooling then changes nothing, and other sizes come to as many features.
SIDE = 7


class FlattenHead(nn.Module):
    """All of the deepest map, position by position, then one linear layer; softmax comes later (IJNRD 7(6), 2022)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels * SIDE * SIDE, classes)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps `[B, C_i, H_i, W_i]`, shallow to deep, to logits `[B, K]` float32."""
        return F.linear(flattened(maps), self.linear.weight.float(), self.linear.bias.float())


def flattened(maps: list[Tensor]) -> Tensor:
    """The deepest map averaged onto 7 x 7, as a row.

    Returns:
        `[B, 49 * C]` float32: the 49 positions of the first channel, of the second, ...
    """
    return F.adaptive_avg_pool2d(maps[-1].float(), SIDE).flatten(1)


@heads.register("flatten", summary="all of the last level at 7 x 7, one linear layer", reads=flattened)
def flatten(channels: tuple[int, ...], classes: int) -> nn.Module:
    """A linear layer on every position of the last level."""
    return FlattenHead(channels[-1], classes)
