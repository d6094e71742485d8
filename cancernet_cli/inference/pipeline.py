"""Pixels to logits and novelty in one module: normalise, segment, combine, classify."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cancernet_cli.classification import load_classifier
from cancernet_cli.classification.domain import color_statistics
from cancernet_cli.core.cards import Card, InputPolicy, read_card, with_segmenter
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.models import bundled_models, find_model
from cancernet_cli.segmentation import LearnedSegmenter, combine, segmenters
from cancernet_cli.segmentation.stain_normalization import normalize_stain


class PipelineOutput(NamedTuple):
    """Outputs of the networks for a batch of B views.

    logits: `[B, K]` float32, before temperature scaling. mask_fraction: `[B]` float32, mean of the mask.
    mask: `[B, 1, H, W]` float, 0 to 1. novelty: `[B]` float32 (`classification.domain`), NaN if the model cannot tell.
    """

    logits: Tensor
    mask_fraction: Tensor
    mask: Tensor
    novelty: Tensor


class Batch(NamedTuple):
    """A batch of B views between two stages of the pipeline.

    pixels: `[B, H, W, 3]` uint8 before the first stage, then `[B, 3, H, W]` float32. The rest is None until the stage
    that computes it has run; see `PipelineOutput`.
    """

    pixels: Tensor
    mask: Tensor | None = None
    mask_fraction: Tensor | None = None
    colors: Tensor | None = None
    logits: Tensor | None = None
    novelty: Tensor | None = None


Stage = tuple[str, Callable[[Batch], Batch]]


def to_tensor(views: Tensor) -> Tensor:
    """Pixel values of views `[B, H, W, 3]` uint8 as a channels-last `[B, 3, H, W]` float32 tensor, 0 to 1."""
    # A permuted view of NHWC bytes is channels-last already; nothing is copied before the division.
    return views.permute(0, 3, 1, 2).float() / 255


class Pipeline(nn.Module):
    """Views from the loader to logits, as specified by the model card.

    Args:
        card: provides mean, std, stain normalisation and the weight of the background.
        segmenter: pixels `[B, 3, H, W]`, 0 to 1, to a mask `[B, 1, H, W]`, 0 to 1.
        classifier: normalised pixels to logits `[B, K]`; with `has_novelty`, its method `with_novelty` gives both
            (`classification.base.Classifier`).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, card: Card, segmenter: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.background_weight = card.segmentation.background_weight
        self.stain_normalization = card.input.stain_normalization
        self.segmenter = segmenter
        if isinstance(segmenter, LearnedSegmenter) and card.input.view == "grid":  # a resized image has no fixed scale
            segmenter.at_scale(card.input.scale, view_mpp=_view_mpp(card.input))
        self.classifier = classifier
        self.register_buffer("mean", torch.tensor(card.input.mean).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(card.input.std).reshape(1, -1, 1, 1), persistent=False)

    def stages(self) -> tuple[Stage, ...]:
        """Names and functions of the steps of `forward`, in order; steps of one name belong to one stage."""
        return (
            ("normalise", lambda batch: Batch(to_tensor(batch.pixels))),
            # On raw pixels, which novelty and segmenters are trained on.
            ("normalise", self._measure_colors),
            ("segment", lambda batch: batch._replace(mask=self.segmenter(batch.pixels))),
            ("normalise", self._normalise_stain),
            ("combine", self._combine),
            ("normalise", lambda batch: batch._replace(pixels=(batch.pixels - self.mean) / self.std)),
            ("classify", self._classify),
        )

    def forward(self, views: Tensor) -> PipelineOutput:
        """Logits and masks of a batch.

        Args:
            views: `[B, H, W, 3]` uint8, on the device of the module.
        """
        batch = Batch(views)
        for _, run in self.stages():
            batch = run(batch)
        assert batch.logits is not None
        assert batch.mask_fraction is not None
        assert batch.mask is not None
        assert batch.novelty is not None
        return PipelineOutput(batch.logits, batch.mask_fraction, batch.mask, batch.novelty)

    def _normalise_stain(self, batch: Batch) -> Batch:
        if self.stain_normalization == "none":
            return batch
        return batch._replace(pixels=normalize_stain(batch.pixels, balance=self.stain_normalization == "balanced"))

    def _combine(self, batch: Batch) -> Batch:
        assert batch.mask is not None
        pixels = combine(batch.pixels, batch.mask, self.background_weight)
        return batch._replace(pixels=pixels, mask_fraction=batch.mask.float().mean(dim=(1, 2, 3)))

    def _measure_colors(self, batch: Batch) -> Batch:
        return batch._replace(colors=color_statistics(batch.pixels)) if self._has_novelty else batch

    def _classify(self, batch: Batch) -> Batch:
        if self._has_novelty:
            logits, novelty = self.classifier.with_novelty(batch.pixels, batch.colors)  # type: ignore[operator]
            return batch._replace(logits=logits.float(), novelty=novelty)
        logits = self.classifier(batch.pixels).float()
        return batch._replace(logits=logits, novelty=logits[:, 0] * float("nan"))

    @property
    def _has_novelty(self) -> bool:
        return bool(getattr(self.classifier, "has_novelty", False))


class MaskPipeline(nn.Module):
    """A segmenter alone, as a pipeline whose logits and novelty mean nothing."""

    def __init__(self, segmenter: nn.Module) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, views: Tensor) -> PipelineOutput:
        """Masks of views `[B, H, W, 3]` uint8."""
        mask = self.segmenter(to_tensor(views)).float()
        fraction = mask.mean(dim=(1, 2, 3))
        return PipelineOutput(fraction[:, None], fraction, mask, fraction)


def _view_mpp(policy: InputPolicy) -> float | None:
    """Micrometers per pixel of views whose scale depends on the magnification: the geometric mean over all; or None.

    One value for all of them, so that every batch runs the same network.
    """
    known = policy.known_magnifications
    return math.exp(sum(math.log(one.mpp / one.scale) for one in known) / len(known)) if known else None


def load_pipeline(folder: Path, card: Card, segmenter: str | None = None) -> Pipeline:
    """Load the trained pipeline of a model's folder, in eval mode on the CPU.

    Args:
        card: of the folder.
        segmenter: another one that the card allows; None uses the card's.

    Raises:
        ModelError: the segmenter is not allowed, or weights are missing, changed or do not fit.
    """
    card = with_segmenter(card, segmenter)
    entry = segmenters[card.segmentation.segmenter]
    model = segmentation_model(folder, card) if entry.facts.get("needs_model") else None
    return Pipeline(card, entry.factory(model), load_classifier(folder, card)).eval()


def segmentation_model(folder: Path, card: Card) -> Path:
    """The folder of the segmentation model pinned by a classifier's card: next to the classifier's, or bundled.

    Raises:
        ModelError: the card specifies none, it does not exist, or its weights are not the pinned ones.
    """
    policy = card.segmentation
    if not policy.model:
        raise ModelError(f"{card.name} specifies no segmentation model", fix="choose a segmenter without weights")
    neighbour = folder.resolve().parent / policy.model
    if neighbour.is_dir():
        found = neighbour
    elif policy.model in bundled_models():
        found = find_model(policy.model)
    else:
        raise ModelError(
            f"{card.name} needs the segmentation model {policy.model!r}, which is neither next to it nor bundled",
            fix=f"copy that model's folder to {neighbour}",
        )
    have = read_card(found).weights.sha256
    if have != policy.sha256:
        raise ModelError(
            f"{card.name} was trained with {policy.model} {policy.sha256[:12]}..., but {found} has {have[:12]}...",
            fix="restore the segmentation model of that training run, or train the classifier again",
        )
    return found
