"""What WSInfer and QuPath get: a configuration in the zoo's schema, and logits whose softmax is the probability."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cancernet_cli.core.cards import read_card
from cancernet_cli.engine.export.cascade import build
from cancernet_cli.engine.export.wsinfer import run_wsinfer, write_wsinfer, wsinfer_config
from tests.he_images import he_like
from tests.tiny_model import write_tiny_model, write_tiny_unet


def test_config_and_network(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "model", view="grid", segmenter="none")
    card = read_card(model)
    card = replace(card, input=replace(card.input, mpp=0.5, scale=0.25))
    network = build(model, card, None)
    config = wsinfer_config(network, card)
    assert config is not None
    assert config["spacing_um_px"] == 2.0, "the resolution of a view"
    assert (config["patch_size_pixels"], config["num_classes"]) == (64, 2)
    write_wsinfer(network, config, tmp_path / "wsinfer")
    assert json.loads((tmp_path / "wsinfer" / "config.json").read_text()) == config
    tiles = np.stack([he_like(seed, 64, 64) for seed in range(3)])
    with torch.inference_mode():
        expected = network.module(torch.from_numpy(tiles))[0].numpy()
    np.testing.assert_allclose(run_wsinfer(tmp_path / "wsinfer")(tiles)[0], expected, atol=1e-6)


def test_a_tile_of_the_cards_size_has_the_cards_resolution(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "model", view="grid", segmenter="none")
    card = read_card(model)
    card = replace(card, input=replace(card.input, mpp=4.0, scale=0.5, tile_width_px=50, tile_height_px=50))
    config = wsinfer_config(build(model, card, None), card)
    assert config is not None
    assert (config["patch_size_pixels"], config["spacing_um_px"]) == (50, 4.0)


def test_models_without_a_resolution_or_square_tiles_and_unets_have_none(tmp_path: Path) -> None:
    model, unet = write_tiny_model(tmp_path / "model", segmenter="none"), write_tiny_unet(tmp_path / "unet")
    card = read_card(model)
    assert wsinfer_config(build(model, card, None), card) is None
    wide = replace(card, input=replace(card.input, mpp=0.5, width_px=96))
    assert wsinfer_config(build(model, wide, None), wide) is None
    assert wsinfer_config(build(unet, read_card(unet), None), read_card(unet)) is None
