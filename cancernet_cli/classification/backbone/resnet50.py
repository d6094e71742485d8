"""ResNet-50 without its classifier."""

from __future__ import annotations

import torchvision
from torch import Tensor, nn

from cancernet_cli.classification.base import Stages, backbones


@backbones.register("resnet50", paper="arXiv:1512.03385", licence="BSD-3-Clause", hub="ResNet50_Weights")
class ResNet50(Stages):
    """The convolutions of ResNet-50; level 0 is the stem before pooling, levels 1 to 4 are `layer1` to `layer4`."""

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__(levels, (64, 256, 512, 1024, 2048))
        whole = torchvision.models.resnet50()
        self.conv1, self.bn1 = whole.conv1, whole.bn1
        for index in range(1, max(levels) + 1):
            self.add_module(f"layer{index}", getattr(whole, f"layer{index}"))

    def stage(self, index: int, maps: Tensor) -> Tensor:
        """The map of level `index`."""
        if index == 0:
            return nn.functional.relu(self.bn1(self.conv1(maps)))
        if index == 1:
            maps = nn.functional.max_pool2d(maps, 3, stride=2, padding=1)
        layer: nn.Module = getattr(self, f"layer{index}")
        out: Tensor = layer(maps)
        return out
