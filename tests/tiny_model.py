"""Models with random weights, small enough that a test can afford them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from cancernet_cli.classification import build_classifier
from cancernet_cli.core.cards import (
    WEIGHTS_FILE,
    Architecture,
    Card,
    Decision,
    InputPolicy,
    SegmentationPolicy,
    Training,
    Weights,
    file_sha256,
    write_card,
)


def write_tiny_model(folder: Path, *, seed: int = 0, view: str = "resize", segmenter: str = "threshold") -> Path:
    """A classifier with random weights and a card; views of 64 x 64."""
    torch.manual_seed(seed)
    architecture = Architecture(
        backbone="test_efficientnet", head="linear", levels=(4,), classes=("benign", "malignant")
    )
    folder.mkdir(parents=True, exist_ok=True)
    save_file(build_classifier(architecture).state_dict(), folder / WEIGHTS_FILE)
    card = Card(
        name=folder.name,
        task="classify",
        summary="Random weights, for tests.",
        architecture=architecture,
        input=InputPolicy(view=view, width_px=64, height_px=64, overlap=0.25),  # type: ignore[arg-type]
        segmentation=SegmentationPolicy(segmenter=segmenter, keep=0.5, allowed=("none", "threshold", "watershed")),
        decision=Decision(positive="malignant", threshold=0.5, chosen_on="nothing"),
        weights=Weights(sha256=file_sha256(folder / WEIGHTS_FILE)),
        training=Training(data="none", splits={"train": ["99-00001"]}),
    )
    write_card(replace(card), folder)
    return folder
