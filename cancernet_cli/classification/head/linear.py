"""Global average pooling of the last level, then one linear layer."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from cancernet_cli.classification.base import heads


class LinearHead(nn.Module):
    """Global average pooling of the deepest map and a linear layer; softmax is applied later."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps `[B, C_i, H_i, W_i]`, shallow to deep, to logits `[B, K]` float32."""
        return cast(Tensor, self.linear(averaged(maps))).float()


def averaged(maps: list[Tensor]) -> Tensor:
    """Spatial mean of the deepest map, `[B, C]`."""
    return maps[-1].mean(dim=(2, 3))


@heads.register("linear", summary="a linear layer on the global average of the last level", reads=averaged)
def linear(channels: tuple[int, ...], classes: int) -> nn.Module:
    """Global average pooling and a linear layer."""
    return LinearHead(channels[-1], classes)
