"""Segmentation models with random weights, small enough that a test can afford them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from cancernet_cli.core.cards import WEIGHTS_FILE, Architecture, Card, InputPolicy, Weights, file_sha256, write_card
from cancernet_cli.segmentation.unet import build_network


def write_tiny_unet(folder: Path, *, seed: int = 0, scale: float = 0.5) -> Path:
    """A U-Net on timm's test encoder."""
    torch.manual_seed(seed)
    architecture = Architecture(encoder="tu-test_efficientnet", decoder_channels=(8, 8, 8, 8, 8))
    folder.mkdir(parents=True, exist_ok=True)
    save_file(build_network(architecture).state_dict(), folder / WEIGHTS_FILE)
    card = Card(
        name=folder.name,
        task="segment",
        architecture=architecture,
        input=InputPolicy(scale=scale),
        weights=Weights(sha256=file_sha256(folder / WEIGHTS_FILE)),
    )
    write_card(card, folder)
    return folder
