"""The one module between a batch of bytes and its logits: normalise, segment, combine, classify."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cancernet_cli.classification import load_classifier
from cancernet_cli.core.cards import Card, read_card, with_segmenter
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.models import bundled_models, find_model
from cancernet_cli.segmentation import combine, segmenters
from cancernet_cli.segmentation.density import scale_density


class PipelineOutput(NamedTuple):
    """What a batch of B views gives.

    logits: `[B, K]` float32, not divided by the temperature. mask_fraction: `[B]` float32, mean of the mask.
    mask: `[B, 1, H, W]` float, 0 to 1.
    """

    logits: Tensor
    mask_fraction: Tensor
    mask: Tensor


class Pipeline(nn.Module):
    """Views as the loader delivers them to logits, as the card says.

    Args:
        card: gives mean, std and `keep`.
        segmenter: pixels `[B, 3, H, W]` in 0..1 to a mask `[B, 1, H, W]` in 0..1.
        classifier: normalised pixels to logits `[B, K]`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, card: Card, segmenter: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.keep = card.segmentation.keep
        self.density = card.input.density
        self.segmenter = segmenter
        adapt = getattr(segmenter, "at_scale", None)
        if adapt is not None and card.input.view == "grid":  # a resized image's scale is its own
            adapt(card.input.scale)
        self.classifier = classifier
        self.register_buffer("mean", torch.tensor(card.input.mean).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(card.input.std).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, views: Tensor) -> PipelineOutput:
        """Logits and masks of a batch.

        Args:
            views: `[B, H, W, 3]` uint8, on the device of the module.
        """
        # A permuted view of NHWC bytes is channels-last already; nothing is copied before the division.
        pixels = views.permute(0, 3, 1, 2).float() / 255
        mask = self.segmenter(pixels)  # of the pixels as they are: that is what segmenters learned from
        if self.density != "as_is":
            pixels = scale_density(pixels, balance=self.density == "balanced")
        seen = (combine(pixels, mask, self.keep) - self.mean) / self.std
        return PipelineOutput(self.classifier(seen).float(), mask.float().mean(dim=(1, 2, 3)), mask)


def load_pipeline(folder: Path, card: Card, segmenter: str | None = None) -> Pipeline:
    """The trained pipeline of a model's folder, in eval mode on the CPU.

    Args:
        card: the folder's card.
        segmenter: one that the card allows instead of its own; None takes the card's.

    Raises:
        ModelError: the segmenter is not allowed, or a model's weights are missing, changed or do not fit.
    """
    card = with_segmenter(card, segmenter)
    entry = segmenters[card.segmentation.segmenter]
    model = segmentation_model(folder, card) if entry.facts.get("needs_model") else None
    return Pipeline(card, entry.factory(model), load_classifier(folder, card)).eval()


def segmentation_model(folder: Path, card: Card) -> Path:
    """The folder of the segmentation model that a classifier's card pins: beside its own, or a bundled one.

    Raises:
        ModelError: the card names none, it is nowhere, or its weights are not the pinned ones.
    """
    policy = card.segmentation
    if not policy.model:
        raise ModelError(f"{card.name} names no segmentation model", fix="choose a segmenter without weights")
    beside = folder.resolve().parent / policy.model
    if beside.is_dir():
        found = beside
    elif policy.model in bundled_models():
        found = find_model(policy.model)
    else:
        raise ModelError(
            f"{card.name} needs the segmentation model {policy.model!r}, which is neither beside it nor bundled",
            fix=f"copy that model's folder to {beside}",
        )
    have = read_card(found).weights.sha256
    if have != policy.sha256:
        raise ModelError(
            f"{card.name} was trained with {policy.model} {policy.sha256[:12]}..., {found} holds {have[:12]}...",
            fix="restore the segmentation model of that training run, or train the classifier again",
        )
    return found
