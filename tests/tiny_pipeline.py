"""Pipelines with random weights, and views for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from cancernet_cli.classification import build_classifier
from cancernet_cli.core.cards import Architecture, read_card
from cancernet_cli.inference.pipeline import Pipeline
from cancernet_cli.segmentation import segmenters
from tests.he_images import he_like
from tests.tiny_model import write_tiny_model, write_tiny_unet

VIEW_PX = (64, 64)


def views(count: int, first: int = 0) -> Tensor:
    """`[count, 64, 64, 3]` uint8; `first` is the seed of the first."""
    made = [torch.from_numpy(he_like(seed, 64, 64)) for seed in range(first, first + count)]
    return torch.stack(made) if made else torch.empty(0, 64, 64, 3, dtype=torch.uint8)


def tiny_pipeline(folder: Path, *, segmenter: str, head: str = "linear", stain_normalization: str = "none") -> Pipeline:
    """Two small networks, or one; a U-Net works on half the size, as the bundled one does."""
    torch.manual_seed(0)
    card = read_card(write_tiny_model(folder / "tiny"))
    card = replace(card, input=replace(card.input, stain_normalization=stain_normalization))
    architecture = Architecture(backbone="test_efficientnet", head=head, levels=(2, 4), classes=("benign", "malignant"))
    unet = write_tiny_unet(folder / "tiny_unet") if segmenter == "unet" else None
    return Pipeline(card, segmenters[segmenter].factory(unet), build_classifier(architecture)).eval()
