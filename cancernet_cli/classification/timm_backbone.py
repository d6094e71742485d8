"""Convolutional networks of timm as backbones."""

from __future__ import annotations

from typing import cast

import timm
import torch
from timm.models import FeatureInfo
from torch import Tensor, nn

from cancernet_cli.classification.base import Backbone
from cancernet_cli.core.errors import ModelError


class TimmBackbone(Backbone):
    """timm's feature extractor with random weights, truncated after the deepest chosen level.

    Args:
        name: a timm model.
        levels: the levels to return, ascending; level i has stride `2 ** (i + 1)`.

    Raises:
        ModelError: timm has no feature maps for this model, or none with the stride of a level.
    """

    def __init__(self, name: str, levels: tuple[int, ...]) -> None:
        super().__init__()
        indices = _indices(name, levels)
        self.network = timm.create_model(name, pretrained=False, features_only=True, out_indices=indices)
        self.channels = tuple(_levels_of(self.network).channels())
        self.channels_last = str(getattr(self.network, "output_fmt", "NCHW")).endswith("NHWC")
        _truncate(self.network)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Feature maps of the chosen levels."""
        maps: list[Tensor] = self.network(pixels)
        return [m.permute(0, 3, 1, 2) if self.channels_last else m for m in maps]


def _indices(name: str, levels: tuple[int, ...]) -> tuple[int, ...]:
    """timm's index of each level: the last feature map of each stride (some networks also have one of stride 1)."""
    try:
        with torch.device("meta"):  # only its table of levels is needed, so no weights are drawn
            strides = _levels_of(timm.create_model(name, pretrained=False, features_only=True)).reduction()
    except (RuntimeError, AttributeError, ValueError, NotImplementedError) as error:
        raise ModelError(
            f"timm has no feature maps for {name!r} ({error})", fix="choose a convolutional network"
        ) from None
    wanted = [2 ** (level + 1) for level in levels]
    if missing := [stride for stride in wanted if stride not in strides]:
        raise ModelError(
            f"{name!r} has no feature map of stride {missing[0]}", fix=f"choose levels among strides {strides}"
        )
    return tuple(len(strides) - 1 - strides[::-1].index(stride) for stride in wanted)


def _levels_of(network: nn.Module) -> FeatureInfo:
    return cast(FeatureInfo, network.feature_info)


def _truncate(network: nn.Module) -> None:
    """Drop the blocks below the deepest level where timm keeps them (its EfficientNet family does)."""
    blocks, stages = getattr(network, "blocks", None), getattr(network, "_stage_out_idx", None)
    if isinstance(blocks, nn.Sequential) and isinstance(stages, dict):
        network.blocks = blocks[: max(stages)]
