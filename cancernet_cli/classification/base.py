"""Interfaces and registries of backbones and heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cancernet_cli.core.registry import BACKBONES, HEADS, Registry

State = dict[str, Tensor]  # a state dict
BackboneFactory = Callable[[tuple[int, ...]], "Backbone"]
HeadFactory = Callable[[tuple[int, ...], int], nn.Module]

# From the levels to return (see `Backbone`) to a backbone with random weights. Facts, all optional:
#   paper, licence: of the architecture and its ImageNet weights.
#   mean, std: of pixels in 0..1 that the ImageNet weights expect; default: torchvision's.
#   hub: name of torchvision's weights enum, such as `VGG16_Weights`.
#   weights: a function that returns ImageNet weights from an installed package and their source, `(State, str)`.
backbones: Registry[BackboneFactory] = Registry("backbone", BACKBONES)

# From the backbone's channels per level and the number of classes to a module that maps feature maps to logits. A head
# is one linear layer, `linear`, on features of the maps, so a head on a frozen backbone trains on cached features.
# Facts:
#   reads: the function from feature maps to those features, `[B, F]`. Required.
#   summary: one line of help.
#   standardised: the head is a `StandardisedLinear`. Default False.
#   int8_sensitive: int8 feature maps change its decisions, so the backbone stays fp32. Default False.
#   large_features: features are stored as float16. Default False.
#   places: a function from maps and weights `[F]` to a map per level, `[B, H_i, W_i]`: what each place adds to
#     `reads(maps) @ weights`, exactly (`classification.contributions`). Optional; other heads get Grad-CAM.
heads: Registry[HeadFactory] = Registry("head", HEADS)


class Backbone(nn.Module):
    """From pixels to feature maps, one per chosen level.

    Subclasses map normalised pixels `[B, 3, H, W]` to a list of feature maps `[B, C_i, H_i, W_i]`, shallow to deep.
    Level i has stride `2 ** (i + 1)`; layers below the deepest chosen level are neither computed nor stored.

    Attributes:
        channels: C_i of each returned map.
    """

    channels: tuple[int, ...]

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Feature maps of the chosen levels."""
        raise NotImplementedError


class Stages(Backbone):
    """A backbone of five sequential stages, each of which halves height and width.

    Subclasses name their modules as the original network does, so its weights load without renaming.

    Args:
        levels: the levels to return, 0 to 4, ascending.
        channels: of all five levels.
    """

    def __init__(self, levels: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.channels = tuple(channels[i] for i in levels)

    def stage(self, index: int, maps: Tensor) -> Tensor:
        """The map of level `index` from the map of the previous level (from pixels for level 0)."""
        raise NotImplementedError

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Feature maps of the chosen levels."""
        found, maps = [], pixels
        for index in range(max(self.levels) + 1):
            maps = self.stage(index, maps)
            if index in self.levels:
                found.append(maps)
        return found


class LinearHead(nn.Module):
    """A linear layer on features of the maps; float32 whatever the backbone's precision. Softmax is applied later.

    Args:
        reads: from maps `[B, C_i, H_i, W_i]` to features `[B, F]`.
        features: F.
        classes: K.

    Attributes:
        dropout: fraction of the features that are zeroed in training mode.
    """

    def __init__(self, reads: Callable[[list[Tensor]], Tensor], features: int, classes: int) -> None:
        super().__init__()
        self.reads = reads
        self.dropout = 0.0
        self.linear = nn.Linear(features, classes)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps `[B, C_i, H_i, W_i]`, shallow to deep, to logits `[B, K]`."""
        return self._weighed(self.reads(maps).float())

    def _weighed(self, features: Tensor) -> Tensor:
        if self.training and self.dropout:
            features = F.dropout(features, self.dropout)
        return F.linear(features, self.linear.weight.float(), self.linear.bias.float())


class StandardisedLinear(LinearHead):
    """A head for few patients: a linear layer on standardised features; arguments as `LinearHead`.

    `centre` and `spread` hold each feature's mean and standard deviation over the training images; constant features
    have spread 1.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, reads: Callable[[list[Tensor]], Tensor], features: int, classes: int) -> None:
        super().__init__(reads, features, classes)
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps `[B, C_i, H_i, W_i]`, shallow to deep, to logits `[B, K]`."""
        return self._weighed((self.reads(maps) - self.centre) / self.spread)


class Classifier(nn.Module):
    """A backbone and a head: from normalised pixels `[B, 3, H, W]` to logits `[B, K]` float32.

    Attributes:
        domain: from feature maps and colors to novelty (`classification.domain`); None if the model cannot tell.
    """

    domain: nn.Module | None

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.domain = None

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits `[B, K]`, not yet divided by the card's temperature."""
        return cast(Tensor, self.head(self.backbone(pixels)))

    @property
    def has_novelty(self) -> bool:
        """Whether `with_novelty` can be called."""
        return self.domain is not None

    def with_novelty(self, pixels: Tensor, colors: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and novelty `[B]` float32.

        Args:
            colors: `[B, 12]`, of the unprocessed pixels (`classification.domain.color_statistics`).
        """
        assert self.domain is not None
        maps = self.backbone(pixels)
        return cast(Tensor, self.head(maps)), cast(Tensor, self.domain(maps, colors))
