"""VGG-16 without its classifier."""

from __future__ import annotations

from torch import Tensor
from torchvision.models.vgg import cfgs, make_layers

from cancernet_cli.classification.base import Stages, backbones

# Indices of the five max-pooling layers in `features` of torchvision's VGG-16.
_POOLINGS = (4, 9, 16, 23, 30)


@backbones.register("vgg16", paper="arXiv:1409.1556", licence="BSD-3-Clause", hub="VGG16_Weights")
class VGG16(Stages):
    """The convolutions of VGG-16 without batch normalisation, as in the paper that this tool implements.

    Level i ends with the max-pooling that halves the map for the (i+1)th time.
    """

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__(levels, (64, 128, 256, 512, 512))
        # Not `vgg16().features`: that initialises a classifier of 120 million weights only to discard it.
        self.features = make_layers(cfgs["D"], batch_norm=False)[: _POOLINGS[max(levels)] + 1]

    def stage(self, index: int, maps: Tensor) -> Tensor:
        """The map of level `index`."""
        start = _POOLINGS[index - 1] + 1 if index else 0
        for layer in self.features[start : _POOLINGS[index] + 1]:
            maps = layer(maps)
        return maps
