"""What every backbone promises."""

from __future__ import annotations

import io

import pytest
import torch
from safetensors.torch import load, save

from cancernet_cli.classification import backbones, build_backbone

# The registry's own, and timm networks of three kinds: extractors that cut themselves, that do not, and that put
# channels last.
NAMES = [*backbones.names(), "resnet10t", "mobilenetv3_small_050", "test_convnext"]
LEVELS = (1, 2, 3)


@pytest.mark.parametrize("name", NAMES)
class TestBackbone:
    def test_gives_the_levels_with_their_strides_and_channels(self, name: str) -> None:
        torch.manual_seed(0)
        backbone = build_backbone(name, LEVELS).eval()
        with torch.inference_mode():
            maps = backbone(torch.rand(2, 3, 64, 96))
        assert [tuple(m.shape) for m in maps] == [
            (2, channels, 64 // 2 ** (level + 1), 96 // 2 ** (level + 1))
            for level, channels in zip(LEVELS, backbone.channels, strict=True)
        ]

    def test_takes_odd_sizes_and_a_batch_of_one(self, name: str) -> None:
        backbone = build_backbone(name, LEVELS).eval()
        with torch.inference_mode():
            (*_, deepest) = backbone(torch.rand(1, 3, 67, 45))
        assert deepest.shape[0] == 1
        assert torch.isfinite(deepest).all()

    def test_what_lies_behind_the_deepest_level_is_not_stored(self, name: str) -> None:
        shallow, deep = (sum(p.numel() for p in build_backbone(name, levels).parameters()) for levels in ((1,), (4,)))
        assert shallow < deep / 4

    def test_its_weights_survive_a_file(self, name: str) -> None:
        torch.manual_seed(0)
        first = build_backbone(name, LEVELS).eval()
        second = build_backbone(name, LEVELS).eval()
        second.load_state_dict(load(io.BytesIO(save(first.state_dict())).getvalue()))
        pixels = torch.rand(1, 3, 32, 32)
        with torch.inference_mode():
            for a, b in zip(first(pixels), second(pixels), strict=True):
                assert torch.equal(a, b)
