"""The card of a classifier before it is trained."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from cancernet_cli.classification.pretrained import Pretrained
from cancernet_cli.core.cards import Architecture, Card, InputPolicy, SegmentationPolicy, Use, Weights, read_card
from cancernet_cli.core.options.recipes import Recipe
from cancernet_cli.data.scales import pixel_sizes
from cancernet_cli.engine.finetune.dataset.labelled_images import UnsplitImages
from cancernet_cli.engine.finetune.model_folder import NOT_FOR

UNCHANGED = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def first_card(
    name: str,
    recipe: Recipe,
    images: UnsplitImages,
    source: Pretrained,
    segmenter: str,
    segmentation_model: Path | None,
) -> Card:
    """Network, input, segmentation and initial weights; the rest is added after training.

    Args:
        segmentation_model: the folder of the U-Net, if a segmenter needs one.
    """
    known = images.magnifications[np.isfinite(images.magnifications)]
    mean, std = (source.mean, source.std) if recipe.normalise else UNCHANGED
    return Card(
        name=name,
        task="classify",
        summary=f"{', '.join(images.classes)}: trained by cancernet finetune.",
        paper="IJNRD 7(6), June 2022: CancerNet",
        architecture=Architecture(
            backbone=recipe.backbone, head=recipe.head, levels=recipe.levels, classes=images.classes
        ),
        input=InputPolicy(
            **_shared(recipe),
            width_px=recipe.view_width_px,
            height_px=recipe.view_height_px,
            magnifications=tuple(float(m) for m in np.unique(known)),
            mpp=_mpp(recipe, images),
            magnification_mpp=_magnification_mpp(recipe, images),
            mean=mean,
            std=std,
        ),
        segmentation=SegmentationPolicy(
            segmenter=segmenter,
            model=segmentation_model.resolve().name if segmentation_model else "",
            sha256=read_card(segmentation_model).weights.sha256 if segmentation_model else "",
            background_weight=recipe.background_weight,
            allowed=(segmenter,),
        ),
        weights=Weights(started_from=source.source),
        use=Use(
            suits="slides" if images.tiles is not None and images.tiles.are_all else "",
            intended="Research on images like those it was trained on.",
            not_for=NOT_FOR,
        ),
    )


def _shared(recipe: Recipe) -> dict[str, Any]:
    """The recipe's values that the card's input policy has under the same name: view, scale, ..."""
    return {f.name: getattr(recipe, f.name) for f in fields(InputPolicy) if hasattr(recipe, f.name)}


def _magnification_mpp(recipe: Recipe, images: UnsplitImages) -> dict[str, float]:
    """Micrometers per pixel at each magnification in the recipe's `scales`: as the images' mpp, or as usual."""
    usual = pixel_sizes([float(power) for power in recipe.scales])
    found = {}
    for name in recipe.scales:
        truths = (file.truth for file in images.files)
        known = [truth.mpp for truth in truths if truth.mpp is not None and truth.magnification == float(name)]
        found[name] = float(np.median(known)) if known else usual[float(name)]
    return found


def _mpp(recipe: Recipe, images: UnsplitImages) -> float | None:
    """Resolution of the images before `scale`, for which `data.tiles.target_mpp` gives that of the training tiles."""
    if images.tiles is None:
        return None
    return images.tiles.mpp * (recipe.scale if recipe.view == "grid" else 1.0)
