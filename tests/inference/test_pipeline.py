"""The pipeline from bytes to logits, and loading its models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cancernet_cli.core.cards import InputPolicy, SegmentationPolicy, read_card
from cancernet_cli.core.errors import ModelError
from cancernet_cli.inference.pipeline import Pipeline, load_pipeline
from cancernet_cli.segmentation import combine
from cancernet_cli.segmentation.stain_normalization import normalize_stain
from cancernet_cli.segmentation.unet import UNet
from tests.he_images import he_like
from tests.tiny_model import write_tiny_model, write_tiny_unet


def views(*seeds: int) -> torch.Tensor:
    return torch.stack([torch.from_numpy(he_like(seed, 64, 64)) for seed in seeds])


@pytest.mark.parametrize("stain_normalization", ["none", "scaled", "balanced"])
def test_a_batch_equals_the_steps_one_by_one(stain_normalization: str, tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    card = read_card(folder)
    card = replace(card, input=replace(card.input, stain_normalization=stain_normalization))
    pipeline = load_pipeline(folder, card)
    batch = views(1, 2)
    with torch.inference_mode():
        found = pipeline(batch)
        pixels = batch.permute(0, 3, 1, 2).float() / 255
        mask = pipeline.segmenter(pixels)
        if stain_normalization != "none":
            pixels = normalize_stain(pixels, balance=stain_normalization == "balanced")
        dimmed = pixels * (mask + (1 - mask) * card.segmentation.background_weight)
        mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (card.input.mean, card.input.std))
        expected = pipeline.classifier((dimmed - mean) / std)
        same = pipeline.classifier((combine(pixels, mask, card.segmentation.background_weight) - mean) / std)
    assert torch.equal(found.logits, same)
    torch.testing.assert_close(found.logits, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.mask_fraction, mask.mean(dim=(1, 2, 3)))
    assert found.mask.shape == (2, 1, 64, 64)


def test_the_u_net_looks_at_the_scale_it_was_trained_at(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny", view="grid")
    card = read_card(folder)
    unet = UNet(torch.nn.Conv2d(3, 1, 3, padding=1), InputPolicy(scale=0.5, mpp=0.25))

    def scale(**policy: object) -> float:
        Pipeline(replace(card, input=replace(card.input, **policy)), unet, torch.nn.Identity())  # type: ignore[arg-type]
        return unet.scale

    sizes = {"40": 0.49, "100": 0.2, "400": 0.05}
    assert scale(scale=1.0) == 0.5
    assert scale(scale=0.5) == 1.0
    assert scale(scales={"40": 1.0, "100": 0.4, "400": 0.1}, magnification_mpp=sizes) == 1.0  # all at 0.49 or 0.5 um
    # 0.49, 0.2 and 0.2 um: their geometric mean, 0.27, is half of 0.5 um within a tenth
    assert scale(scales={"40": 1.0, "100": 1.0, "400": 0.25}, magnification_mpp=sizes) == 0.5


def test_a_segmenter_that_was_not_measured_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    with pytest.raises(ModelError, match=r"not been evaluated with segmenter 'unet'; choose one of: none, threshold"):
        load_pipeline(folder, read_card(folder), "unet")


def test_the_neighbouring_segmentation_model_is_pinned_by_its_checksum(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    unet = read_card(write_tiny_unet(tmp_path / "tiny_unet"))
    pinned = SegmentationPolicy(segmenter="unet", model="tiny_unet", sha256=unet.weights.sha256, background_weight=0.5)
    card = replace(read_card(folder), segmentation=pinned)
    with torch.inference_mode():
        assert load_pipeline(folder, card)(views(1)).logits.shape == (1, 2)
    other = replace(card, segmentation=replace(pinned, sha256="0" * 64))
    with pytest.raises(ModelError, match="was trained with tiny_unet 000000000000"):
        load_pipeline(folder, other)
    gone = replace(card, segmentation=replace(pinned, model="nowhere"))
    with pytest.raises(ModelError, match="neither next to it nor bundled; copy that model's folder"):
        load_pipeline(folder, gone)
