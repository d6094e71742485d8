"""Folded networks have the same outputs and no foldable batch norm left."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cancernet_cli.classification import backbones, build_backbone
from cancernet_cli.core.cards import Architecture
from cancernet_cli.inference.fold_batchnorm import fold_batchnorm
from cancernet_cli.segmentation.unet import build_network

# DenseNet normalises before its convolutions, and ConvNeXt and VGG have no batch norms.
LEFT = {"densenet121": 62, "vgg16": 0, "test_convnext": 0}
NAMES = [*backbones.names(), "resnet10t", "mobilenetv3_small_050", "test_convnext"]


def trained(network: nn.Module) -> nn.Module:
    """The network with statistics as after training: no value is 0 or 1."""
    random = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
                (module.weight.data, 0.7, 1.3),
                (module.bias.data, -0.2, 0.2),
            ):
                tensor.uniform_(low, high, generator=random)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("name", NAMES)
def test_every_backbone_gives_the_same_maps(name: str) -> None:
    torch.manual_seed(0)
    backbone = trained(build_backbone(name, (1, 4)))
    before = norms(backbone)
    found = fold_batchnorm(backbone, torch.randn(1, 3, 64, 64))
    pixels = torch.randn(2, 3, 96, 64)
    with torch.inference_mode():
        for ours, theirs in zip(found(pixels), backbone(pixels), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4 * float(theirs.abs().max()), rtol=0)
    assert norms(found) == LEFT.get(name, 0)
    assert norms(backbone) == before


def test_a_unet_gives_the_same_mask() -> None:
    torch.manual_seed(0)
    architecture = Architecture(encoder="tu-test_efficientnet", decoder_channels=(8, 8, 8, 8, 8))
    network = trained(build_network(architecture))
    found = fold_batchnorm(network, torch.randn(1, 3, 64, 64))
    assert norms(network) > 0
    assert norms(found) == 0
    pixels = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(found(pixels), network(pixels), atol=1e-4, rtol=0)


class Odd(nn.Module):
    """A convolution, something in between, a normalisation."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.conv, self.norm, self.kind = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), kind

    def forward(self, pixels: Tensor) -> Tensor:
        made = self.conv(pixels)
        if self.kind == "works in place":
            return self.norm(F.relu_(made))
        if self.kind == "runs twice":
            return self.norm(made) + self.norm(self.conv(pixels.flip(3)))
        return made + self.norm(made)  # takes the convolution's output once more


@pytest.mark.parametrize("kind", ["works in place", "runs twice", "taken elsewhere too"])
def test_norms_that_cannot_be_folded_stay(kind: str) -> None:
    network = trained(Odd(kind))
    found = fold_batchnorm(network, torch.randn(1, 3, 16, 16))
    assert norms(found) == 1
    pixels = torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(found(pixels), network(pixels))
