"""Options of `cancernet finetune`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cancernet_cli.core.choices import ClassLoss, Density, RecipeName, Sampling, View
from cancernet_cli.core.options.base import option
from cancernet_cli.core.options.learning import LearningOptions
from cancernet_cli.core.options.tiling import TilingOptions


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(LearningOptions, TilingOptions):
    """Options of `cancernet finetune`; None where the recipe (`core.recipes`) decides."""

    out: Path = option(Path("models/mine"), help="The model's folder to write.", short="-o", group="Output")
    overwrite: bool = option(False, help="Replace a model that is already there.", group="Output")
    about: Path | None = option(
        None,
        help="TOML file whose [training], [weights] and [use] texts go into the card: licence, citation, ...",
        group="Output",
    )
    tensorboard: Path | None = option(
        None, help='Write TensorBoard events here too; needs `pip install "cancernet[tensorboard]"`.', group="Output"
    )
    task: Literal["classify", "segment"] = option(
        "classify", help="Train a classifier on labels, or a U-Net on masks.", group="Model"
    )
    recipe: RecipeName = option(
        "modern",
        help="What is used where nothing else is said: what does best here on unseen patients, or the method of the "
        "paper (224 x 224, the convolutions' output into a softmax layer, Adam, 25 epochs).",
        group="Model",
    )
    backbone: str | None = option(
        None,
        help="vgg16, resnet50, densenet121, tf_efficientnet_lite0 or any timm name; the encoder of a U-Net.",
        group="Model",
    )
    weights: str = option(
        "imagenet", help="What the backbone starts from: imagenet, none, or a safetensors file.", group="Model"
    )
    head: Literal["level_stats", "correlations", "linear", "flatten"] | None = option(
        None,
        help="What turns feature maps into logits: a linear layer on the mean and spread of every channel, on the "
        "correlations of channels, on the averaged last level, or on all of the last level.",
        group="Model",
    )
    levels: str | None = option(
        None, help="Levels of the backbone that the head reads, 0 (stride 2) to 4 (stride 32), as 1,2,3.", group="Model"
    )
    segmenter: Literal["none", "threshold", "watershed", "unet"] = option(
        "unet", help="What the classifier looks at is segmented by.", group="Model"
    )
    segmentation_model: str = option(
        "tnbc_unet", help="The U-Net of --segmenter unet: a bundled model's name, or a folder.", group="Model"
    )
    also_segmenters: str = option(
        "", help="Segmenters, with commas, that are measured too and then allowed for this model.", group="Model"
    )
    keep: float | None = option(
        None,
        help="How much of a pixel outside the mask stays: 0 blanks it, 1 ignores the mask.",
        min=0,
        max=1,
        group="Model",
    )
    view: View | None = option(
        None, help="Squeeze an image into one view, or cover it with views at its own scale.", group="Model"
    )
    view_width_px: int | None = option(None, help="Width of a view.", min=32, group="Model")
    view_height_px: int | None = option(None, help="Height of a view.", min=32, group="Model")
    scale: float | None = option(None, help="0.5 looks at images shrunk by half.", min=0.05, max=4, group="Model")
    density: Density | None = option(
        None,
        help="Take pixels as they are, bring each image's optical densities to one darkest value, as if all were "
        "stained and lit alike, or take out the tint of the lightest pixels too.",
        group="Model",
    )
    unfreeze: int = option(
        0,
        help="Stages of the backbone, from the deepest, that learn too, one after the other; 0 leaves it as it is and "
        "computes its features once.",
        min=0,
        max=5,
        group="Training",
    )
    epochs: int | None = option(None, help="How often each training image is seen.", min=1, group="Training")
    learning_rate: float | None = option(None, help="The highest learning rate.", min=0, group="Training")
    patience: int = option(
        8,
        help="Epochs without a better validation loss after which training stops; 0 never stops.",
        min=0,
        group="Training",
    )
    sampling: Sampling | None = option(
        None,
        help="How often an image is drawn: each alike, each class alike, or each class, and each patient in it, alike.",
        group="Training",
    )
    loss: ClassLoss | None = option(
        None,
        help="Cross-entropy, the same with classes weighted by their rarity, or focal loss.",
        group="Training",
    )
    variants: int = option(
        0,
        help="Re-stained and zoomed copies of each image that a head on a frozen backbone also learns from.",
        min=0,
        max=64,
        group="Training",
    )
    crop_px: int = option(192, help="Side of a U-Net's training crops, in pixels at --scale.", min=32, group="Training")
    mask_cut: float | None = option(
        None,
        help="Probability from which a pixel lies in a U-Net's mask; default: where the Dice of patients that it has "
        "not learned from is highest.",
        min=0.01,
        max=0.99,
        group="Training",
    )
    tiles_per_slide: int = option(
        200, help="Learn from at most this many tiles of a slide, evenly spread over its tissue.", min=1, group="Slides"
    )
    tile_mpp: float | None = option(
        None,
        help="Micrometres that a pixel of a slide's tile shows; default: what the views of the photos among DATA show, "
        "without photos 0.5.",
        min=0.02,
        max=10,
        group="Slides",
    )
    annotations: Literal["auto", "none"] = option(
        "auto",
        help="auto learns from regions where a slide has them: a GeoJSON file that the manifest's column annotations "
        "names, or <slide>.geojson beside it; none goes by slides' labels alone.",
        group="Slides",
    )
    annotation_origin: Literal["auto", "slide", "scan"] = option(
        "auto",
        help="Where annotations count from, in slides of which only a part was scanned (MRXS, SCN, BIF): from the "
        "slide's corner, or from the scan's, as QuPath does unless it opened them with --no-crop; auto asks.",
        group="Slides",
    )
    min_annotated: float = option(
        0.5,
        help="Least share of a tile that lies in the regions of its class, where a slide has annotations.",
        min=0.01,
        max=1,
        group="Slides",
    )
