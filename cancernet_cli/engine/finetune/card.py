"""The card of a classifier before it is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cancernet_cli.classification.pretrained import Pretrained
from cancernet_cli.core.cards import (
    Architecture,
    Card,
    InputPolicy,
    SegmentationPolicy,
    Use,
    Weights,
    read_card,
)
from cancernet_cli.core.recipes import Recipe
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages
from cancernet_cli.engine.finetune.model_folder import NOT_FOR

UNCHANGED = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def first_card(
    name: str,
    recipe: Recipe,
    images: LabelledImages,
    source: Pretrained,
    segmenter: str,
    segmentation_model: Path | None,
) -> Card:
    """Network, input, segmentation and initial weights; training fills in the rest."""
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
            view=recipe.view,
            width_px=recipe.view_width_px,
            height_px=recipe.view_height_px,
            scale=recipe.scale,
            density=recipe.density,
            magnifications=tuple(float(m) for m in np.unique(known)),
            mpp=_mpp(recipe, images),
            mean=mean,
            std=std,
        ),
        segmentation=SegmentationPolicy(
            segmenter=segmenter,
            model=segmentation_model.resolve().name if segmentation_model else "",
            sha256=read_card(segmentation_model).weights.sha256 if segmentation_model else "",
            keep=recipe.keep,
            allowed=(segmenter,),
        ),
        weights=Weights(started_from=source.source),
        use=Use(intended="Research on images like those it was trained on.", not_for=NOT_FOR),
    )


def _mpp(recipe: Recipe, images: LabelledImages) -> float | None:
    """Resolution of an image before `scale`, in µm/px, so that `data.tiles.target_mpp` gives that of the cut tiles."""
    if images.tiles is None:
        return None
    return images.tiles.mpp * (recipe.scale if recipe.view == "grid" else 1.0)
