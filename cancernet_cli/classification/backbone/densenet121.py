"""DenseNet-121 without its classifier."""

from __future__ import annotations

import torchvision
from torch import Tensor, nn

from cancernet_cli.classification.base import Stages, backbones

# The modules of torchvision's `features` that make up each stage.
_STAGES = (
    ("conv0", "norm0", "relu0"),
    ("pool0", "denseblock1"),
    ("transition1", "denseblock2"),
    ("transition2", "denseblock3"),
    ("transition3", "denseblock4", "norm5"),
)


@backbones.register("densenet121", paper="arXiv:1608.06993", licence="BSD-3-Clause", hub="DenseNet121_Weights")
class DenseNet121(Stages):
    """The convolutions of DenseNet-121; level 0 is the stem before pooling, levels 1 to 4 end with the dense blocks."""

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__(levels, (64, 256, 512, 1024, 1024))
        whole = torchvision.models.densenet121().features
        names = [name for stage in _STAGES[: max(levels) + 1] for name in stage]
        self.features = nn.ModuleDict({name: getattr(whole, name) for name in names})

    def stage(self, index: int, maps: Tensor) -> Tensor:
        """The map of level `index`; the last one after normalisation and ReLU, as in torchvision's classifier."""
        for name in _STAGES[index]:
            maps = self.features[name](maps)
        return nn.functional.relu(maps) if index == 4 else maps
