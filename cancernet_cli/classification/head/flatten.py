"""The paper's head: the flattened last feature map, then one linear layer."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from cancernet_cli.classification.base import LinearHead, heads

# A 224 x 224 view has this side at stride 32, so pooling changes nothing; other sizes are pooled to it.
SIDE = 7


def flattened(maps: list[Tensor]) -> Tensor:
    """The deepest map, average-pooled to 7 x 7 and flattened.

    Returns:
        `[B, 49 * C]` float32: the 49 positions of the first channel, then of the second, ...
    """
    return F.adaptive_avg_pool2d(maps[-1].float(), SIDE).flatten(1)


def flattened_places(maps: list[Tensor], weights: Tensor) -> list[Tensor]:
    """What each of the 7 x 7 places adds to `flattened(maps) @ weights`, `[B, 7, 7]`."""
    pooled = F.adaptive_avg_pool2d(maps[-1].float(), SIDE)
    return [(pooled * weights.reshape(-1, SIDE, SIDE)).sum(dim=1)]


@heads.register(
    "flatten",
    summary="a linear layer on every position of the last level at 7 x 7",
    reads=flattened,
    places=flattened_places,
    large_features=True,
)
def flatten(channels: tuple[int, ...], classes: int) -> nn.Module:
    """A linear layer on every position of the last level (IJNRD 7(6), 2022)."""
    return LinearHead(flattened, channels[-1] * SIDE * SIDE, classes)
