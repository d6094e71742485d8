"""Write a model folder with random weights, for measuring the speed of untrained networks."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from cancernet_cli.classification import build_classifier
from cancernet_cli.core.cards import (
    WEIGHTS_FILE,
    Architecture,
    Card,
    Decision,
    InputPolicy,
    SegmentationPolicy,
    Weights,
    file_sha256,
    read_card,
    write_card,
)
from cancernet_cli.core.models import bundled_models
from cancernet_cli.engine.bench.synthetic_images import field
from cancernet_cli.inference.pipeline import to_tensor
from cancernet_cli.segmentation import segmenters

SIDE_PX = 224
FIELDS = 8


def random_model(
    folder: Path,
    backbone: str,
    side_px: int = SIDE_PX,
    *,
    pixels: Tensor | None = None,
    levels: tuple[int, ...] = (4,),
    seed: int = 0,
) -> Path:
    """Write a two-class classifier with random weights, for images resized to one view and without segmentation.

    Batch norm statistics and the scale of the logits are calibrated on a few fields of view: otherwise every image
    would get a probability of 0 or 1, and comparing precisions would show nothing.

    Args:
        pixels: normalised calibration images, `[N, 3, side_px, side_px]`; default: generated ones.
        levels: feature levels of the head; see `core.cards.Architecture`.

    Raises:
        ModelError: there is no backbone of that name.
    """
    torch.manual_seed(seed)
    architecture = Architecture(backbone=backbone, head="linear", levels=levels, classes=("benign", "malignant"))
    network = build_classifier(architecture)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # cumulative mean
    policy = InputPolicy(view="resize", width_px=side_px, height_px=side_px)
    seen = generated_pixels(policy) if pixels is None else pixels
    last = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        network.train()(seen)
        logits = network.eval()(seen)
        scale = logits.std(dim=0)
        last.weight /= scale[:, None]
        last.bias.copy_((last.bias - logits.mean(dim=0)) / scale)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), folder / WEIGHTS_FILE)
    card = Card(
        name=folder.name,
        task="classify",
        summary="Random weights, for measuring speed.",
        architecture=architecture,
        input=policy,
        segmentation=_any_segmenter(),
        decision=Decision(positive="malignant", threshold=0.5, chosen_on="nothing"),
        weights=Weights(sha256=file_sha256(folder / WEIGHTS_FILE), size_bytes=(folder / WEIGHTS_FILE).stat().st_size),
    )
    write_card(card, folder)
    return folder


def generated_pixels(policy: InputPolicy) -> Tensor:
    """Generated fields of view as normalised network input, `[N, 3, H, W]` float32."""
    fields = [torch.from_numpy(field(seed, policy.width_px, policy.height_px)) for seed in range(FIELDS)]
    mean, std = (torch.tensor(numbers).reshape(1, -1, 1, 1) for numbers in (policy.mean, policy.std))
    return (to_tensor(torch.stack(fields)) - mean) / std


def _any_segmenter() -> SegmentationPolicy:
    """No segmentation, with every segmenter allowed; those with weights use the first bundled segmentation model."""
    for name, folder in bundled_models().items():
        card = read_card(folder)
        if card.task == "segment":
            allowed = tuple(segmenters.names())
            return SegmentationPolicy(model=name, sha256=card.weights.sha256, background_weight=0.75, allowed=allowed)
    without_weights = tuple(entry.name for entry in segmenters if not entry.facts.get("needs_model"))
    return SegmentationPolicy(background_weight=0.75, allowed=without_weights)
