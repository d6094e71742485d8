"""Models with random weights, small enough that a test can afford them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from cancernet_cli.classification import build_classifier
from cancernet_cli.classification.domain import Novelty, domain_width
from cancernet_cli.core.cards import (
    WEIGHTS_FILE,
    Architecture,
    Card,
    Decision,
    Domain,
    InputPolicy,
    SegmentationPolicy,
    Training,
    Weights,
    file_sha256,
    write_card,
)
from cancernet_cli.segmentation.unet import build_network


def write_tiny_model(
    folder: Path, *, seed: int = 0, view: str = "resize", segmenter: str = "threshold", rank: int = 0
) -> Path:
    """A classifier with random weights and a card; views of 64 x 64. With a rank, it gives novelty, which is random."""
    torch.manual_seed(seed)
    architecture = Architecture(
        backbone="test_efficientnet", head="linear", levels=(4,), classes=("benign", "malignant")
    )
    folder.mkdir(parents=True, exist_ok=True)
    classifier = build_classifier(architecture)
    if rank:
        classifier.domain = Novelty(domain_width(classifier.backbone.channels), rank)
        classifier.domain.axes.normal_()
        classifier.domain.gains.uniform_()
    save_file(classifier.state_dict(), folder / WEIGHTS_FILE)
    card = Card(
        name=folder.name,
        task="classify",
        summary="Random weights, for tests.",
        architecture=architecture,
        input=InputPolicy(view=view, width_px=64, height_px=64, overlap=0.25),  # type: ignore[arg-type]
        segmentation=SegmentationPolicy(
            segmenter=segmenter, background_weight=0.5, allowed=("none", "threshold", "watershed")
        ),
        decision=Decision(positive="malignant", threshold=0.5, chosen_on="nothing"),
        domain=Domain(rank=rank),
        weights=Weights(sha256=file_sha256(folder / WEIGHTS_FILE)),
        training=Training(data="none", splits={"train": ["99-00001"]}),
    )
    write_card(card, folder)
    return folder


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
