"""The U-Net's folder, and the scale at which it looks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cancernet_cli.core.cards import Architecture, InputPolicy, read_card, write_card
from cancernet_cli.core.errors import ModelError
from cancernet_cli.segmentation import segmenters
from cancernet_cli.segmentation.unet import UNet, build_network, move_cut, shrink
from tests.tiny_model import write_tiny_model, write_tiny_unet


def test_half_the_scale_is_the_mean_of_each_block() -> None:
    pixels = torch.arange(12.0).reshape(1, 1, 3, 4).expand(1, 3, 3, 4)
    torch.testing.assert_close(shrink(pixels, 0.5)[0, 0], torch.tensor([[2.5, 4.5], [8.5, 10.5]]))


@pytest.mark.parametrize(("scale", "size"), [(0.75, (72, 48)), (0.4, (38, 26))])
def test_any_other_scale_is_the_mean_of_the_area(scale: float, size: tuple[int, int]) -> None:
    pixels = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    area = cv2.resize(pixels[0].permute(1, 2, 0).numpy(), size, interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(shrink(pixels, scale)[0].permute(1, 2, 0).numpy(), area, atol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 0.75, 0.5, 0.25, 0.4])
def test_the_network_sees_the_shrunk_and_padded_image(scale: float) -> None:
    seen: list[tuple[int, ...]] = []

    class Spy(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            seen.append(tuple(pixels.shape))
            return torch.zeros_like(pixels[:, :1])

    mask = UNet(Spy(), InputPolicy(scale=scale))(torch.rand(1, 3, 100, 130))
    assert mask.shape == (1, 1, 100, 130)
    assert mask.unique().tolist() == [0.5]
    height, width = seen[0][2:]
    assert height % 32 == width % 32 == 0
    assert 100 * scale - 1 <= height < 100 * scale + 33


def test_pixels_that_are_shrunk_already_are_seen_at_the_same_scale() -> None:
    network = torch.nn.Conv2d(3, 1, 3, padding=1)
    pixels = torch.rand(1, 3, 64, 96)
    whole, shrunk = UNet(network, InputPolicy(scale=0.5)), UNet(network, InputPolicy(scale=0.5))
    shrunk.at_scale(0.5)
    with torch.inference_mode():
        larger = torch.nn.functional.interpolate(shrunk(shrink(pixels, 0.5)), scale_factor=2.0, mode="bilinear")
        torch.testing.assert_close(larger, whole(pixels))


@pytest.mark.parametrize(
    ("view_mpp", "scale"),
    [(0.5, 1.0), (0.49, 1.0), (0.25, 0.5), (0.26, 0.5), (0.4, 0.8), (1.0, 1.0)],
)
def test_a_known_resolution_decides_at_which_scale_it_looks(view_mpp: float, scale: float) -> None:
    """Trained at half the scale of 0.25 um per pixel: it knows nuclei at 0.5 um per pixel."""
    unet = UNet(torch.nn.Conv2d(3, 1, 3, padding=1), InputPolicy(scale=0.5, mpp=0.25))
    unet.at_scale(0.3, view_mpp=view_mpp)
    assert unet.scale == pytest.approx(scale)
    unknown = UNet(torch.nn.Conv2d(3, 1, 3, padding=1), InputPolicy(scale=0.5))
    unknown.at_scale(1.0, view_mpp=view_mpp)
    assert unknown.scale == 0.5


def test_a_moved_cut_marks_the_same_pixels() -> None:
    network = build_network(Architecture(encoder="tu-test_efficientnet", decoder_channels=(8, 8, 8, 8, 8))).eval()
    unet, pixels = UNet(network, InputPolicy()), torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = unet(pixels)
        cut = float(before.quantile(0.7)) + 1e-6
        move_cut(network, cut)
        after = unet(pixels)
    assert 0 < (before >= cut).float().mean() < 1
    assert torch.equal(after >= 0.5, before >= cut)


def test_a_mask_lies_where_its_object_does() -> None:
    """A network that marks dark pixels: its mask, shrunk and enlarged again, must not shift."""

    class Dark(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return -50 * pixels.mean(dim=1, keepdim=True)

    image = torch.ones(1, 3, 65, 81)
    image[:, :, 20:40, 30:60] = 0
    policy = InputPolicy(scale=0.5, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    mask = UNet(Dark(), policy)(image)[0, 0] >= 0.5
    assert torch.equal(mask, image[0, 0] == 0)


def test_no_model_a_classifier_and_changed_weights_are_refused(tmp_path: Path) -> None:
    factory = segmenters["unet"].factory
    with pytest.raises(ModelError, match="needs a model"):
        factory(None)
    with pytest.raises(ModelError, match="a model to classify, not to segment"):
        factory(write_tiny_model(tmp_path / "classifier"))
    folder = write_tiny_unet(tmp_path / "unet")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="SHA-256"):
        factory(folder)


def test_weights_of_another_decoder_are_refused(tmp_path: Path) -> None:
    folder = write_tiny_unet(tmp_path / "unet")
    card = read_card(folder)
    other = Architecture(encoder=card.architecture.encoder, decoder_channels=(8, 8, 8, 8, 4))
    write_card(replace(card, architecture=other), folder)
    with pytest.raises(ModelError, match=r"do not fit its card: .*; restore the card"):
        segmenters["unet"].factory(folder)


def test_an_unknown_encoder_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_unet(tmp_path / "unet")
    write_card(
        replace(read_card(folder), architecture=Architecture(encoder="nonsense", decoder_channels=(8,) * 5)), folder
    )
    with pytest.raises(ModelError, match="cannot build a U-Net with encoder 'nonsense'"):
        segmenters["unet"].factory(folder)
