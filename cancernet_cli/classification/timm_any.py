"""Any convolutional network of timm; EfficientNet-Lite0 by name."""

from __future__ import annotations

from typing import cast

import timm
import torch
from timm.models import FeatureInfo
from torch import Tensor, nn

from cancernet_cli.classification.base import Backbone, backbones
from cancernet_cli.core.errors import ModelError


class TimmBackbone(Backbone):
    """timm's feature extractor, cut behind the deepest chosen level.

    Args:
        name: a timm model.
        levels: the levels to give, ascending; level i has stride `2 ** (i + 1)`.

    Raises:
        ModelError: timm gives no feature maps for it, or none with the stride of a level.
    """

    def __init__(self, name: str, levels: tuple[int, ...]) -> None:
        super().__init__()
        indices = _indices(name, levels)
        self.network = timm.create_model(name, pretrained=False, features_only=True, out_indices=indices)
        self.channels = tuple(_levels_of(self.network).channels())
        self.channels_last = str(getattr(self.network, "output_fmt", "NCHW")).endswith("NHWC")
        _cut(self.network, indices)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Feature maps of the chosen levels."""
        maps: list[Tensor] = self.network(pixels)
        return [m.permute(0, 3, 1, 2) if self.channels_last else m for m in maps]


def timm_backbone(name: str, levels: tuple[int, ...]) -> Backbone:
    """A timm network with random weights that gives the chosen levels."""
    return TimmBackbone(name, levels)


def _indices(name: str, levels: tuple[int, ...]) -> tuple[int, ...]:
    """Where timm keeps the levels: the last feature map of each stride (some networks also have one of stride 1)."""
    try:
        with torch.device("meta"):  # only its table of levels is wanted, so no weights are drawn
            strides = _levels_of(timm.create_model(name, pretrained=False, features_only=True)).reduction()
    except (RuntimeError, AttributeError, ValueError, NotImplementedError) as error:
        raise ModelError(
            f"timm gives no feature maps for {name!r} ({error})", fix="choose a convolutional network"
        ) from None
    wanted = [2 ** (level + 1) for level in levels]
    if missing := [stride for stride in wanted if stride not in strides]:
        raise ModelError(
            f"{name!r} has no feature map of stride {missing[0]}", fix=f"choose levels among strides {strides}"
        )
    return tuple(len(strides) - 1 - strides[::-1].index(stride) for stride in wanted)


def _levels_of(network: nn.Module) -> FeatureInfo:
    return cast(FeatureInfo, network.feature_info)


def _cut(network: nn.Module, indices: tuple[int, ...]) -> None:
    """Drop what runs behind the deepest level where timm keeps it (its EfficientNet family does)."""
    blocks, stages = getattr(network, "blocks", None), getattr(network, "_stage_out_idx", None)
    if isinstance(blocks, nn.Sequential) and isinstance(stages, dict):
        network.blocks = blocks[: max(stages)]


@backbones.register(
    "tf_efficientnet_lite0",
    paper="arXiv:1905.11946",
    licence="Apache-2.0",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)
def tf_efficientnet_lite0(levels: tuple[int, ...]) -> Backbone:
    """EfficientNet-Lite0: the small default."""
    return TimmBackbone("tf_efficientnet_lite0", levels)
