"""Global average pooling of the last level, then one linear layer."""

from __future__ import annotations

from torch import Tensor, nn

from cancernet_cli.classification.base import LinearHead, heads


def averaged(maps: list[Tensor]) -> Tensor:
    """Spatial mean of the deepest map, `[B, C]`."""
    return maps[-1].mean(dim=(2, 3))


def average_places(maps: list[Tensor], weights: Tensor) -> list[Tensor]:
    """What each place of the deepest map adds to `averaged(maps) @ weights`, `[B, H, W]`."""
    deepest = maps[-1].float()
    return [(deepest * weights[:, None, None]).sum(dim=1) / deepest[0, 0].numel()]


@heads.register(
    "linear", summary="a linear layer on the global average of the last level", reads=averaged, places=average_places
)
def linear(channels: tuple[int, ...], classes: int) -> nn.Module:
    """Global average pooling and a linear layer."""
    return LinearHead(averaged, channels[-1], classes)
