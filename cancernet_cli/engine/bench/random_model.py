"""A network with random weights as a model's folder, for measuring networks that nobody has trained yet."""

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
    """A classifier of two classes with random weights, for images squeezed into one view; nothing is segmented.

    The statistics of its normalisation layers and the scale of its logits are taken from some fields: with untouched
    random weights every image would get a probability of 0 or 1, and a comparison would show nothing.

    Args:
        pixels: fields as the network sees them, `[N, 3, side_px, side_px]`, normalised; default: generated ones.
        levels: what the head reads; see `core.cards.Architecture`.

    Raises:
        ModelError: no network is called so.
    """
    torch.manual_seed(seed)
    architecture = Architecture(backbone=backbone, head="linear", levels=levels, classes=("benign", "malignant"))
    network = build_classifier(architecture)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean over what it sees
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
    """Generated fields as a network's input, `[N, 3, H, W]` float32, normalised."""
    fields = [torch.from_numpy(field(seed, policy.width_px, policy.height_px)) for seed in range(FIELDS)]
    mean, std = (torch.tensor(numbers).reshape(1, -1, 1, 1) for numbers in (policy.mean, policy.std))
    return (torch.stack(fields).permute(0, 3, 1, 2).float() / 255 - mean) / std


def _any_segmenter() -> SegmentationPolicy:
    """No segmentation, with every segmenter allowed; those with weights use the first bundled segmentation model."""
    for name, folder in bundled_models().items():
        card = read_card(folder)
        if card.task == "segment":
            allowed = tuple(segmenters.names())
            return SegmentationPolicy(model=name, sha256=card.weights.sha256, keep=0.75, allowed=allowed)
    without_weights = tuple(entry.name for entry in segmenters if not entry.facts.get("needs_model"))
    return SegmentationPolicy(keep=0.75, allowed=without_weights)
