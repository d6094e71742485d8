"""What a backbone and a head are, and the registries that hold them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from torch import Tensor, nn

from cancernet_cli.core.registry import Registry


class Backbone(nn.Module):
    """Pixels to feature maps, one for each chosen level.

    Subclasses take normalised pixels `[B, 3, H, W]` and give a list of maps `[B, C_i, H_i, W_i]`, shallow to deep.
    Level i has stride `2 ** (i + 1)`; what lies deeper than the deepest chosen level is neither computed nor stored.

    Attributes:
        channels: C_i of each map that forward gives.
    """

    channels: tuple[int, ...]

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Feature maps of the chosen levels."""
        raise NotImplementedError


class Stages(Backbone):
    """A backbone made of five stages that run one after the other, each halving height and width.

    Subclasses file the stages' modules under the names that the original network gives them, and name the attributes
    (dotted paths of modules) that make up each stage; so weights of the original load without renaming.

    Args:
        levels: the levels to give, 0 to 4, ascending.
        channels: of all five levels.
    """

    def __init__(self, levels: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.channels = tuple(channels[i] for i in levels)

    def stage(self, index: int, maps: Tensor) -> Tensor:
        """The map of level `index` from the map of the level before it (pixels for level 0)."""
        raise NotImplementedError

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Feature maps of the chosen levels."""
        found, maps = [], pixels
        for index in range(max(self.levels) + 1):
            maps = self.stage(index, maps)
            if index in self.levels:
                found.append(maps)
        return found


BackboneFactory = Callable[[tuple[int, ...]], Backbone]
# A head is one linear layer on what its fact `reads`, a function from a backbone's maps to `[B, F]`, takes from them;
# so a head on a frozen backbone is learned from features that are computed once.
HeadFactory = Callable[[tuple[int, ...], int], nn.Module]

backbones: Registry[BackboneFactory] = Registry("backbone")
heads: Registry[HeadFactory] = Registry("head")


class Classifier(nn.Module):
    """A backbone and a head: normalised pixels `[B, 3, H, W]` to logits `[B, K]` float32."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits `[B, K]`, not yet divided by the card's temperature."""
        return cast(Tensor, self.head(self.backbone(pixels)))
