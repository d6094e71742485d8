"""Options of `cancernet finetune`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cancernet_cli.core.choices import (
    SCALE_RANGE,
    Augment,
    ClassLoss,
    RecipeName,
    Sampling,
    StainNormalization,
    View,
)
from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.options.base import option
from cancernet_cli.core.options.shared.learning import LearningOptions
from cancernet_cli.core.options.shared.tiling import TilingOptions
from cancernet_cli.core.registry import BACKBONES, HEADS, SEGMENTERS, check_entry, entry_names


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(LearningOptions, TilingOptions):
    """Options of `cancernet finetune`; None: the recipe (`core.options.recipes`) decides."""

    out: Path = option(Path("models/mine"), help="Folder to write the model to.", short="-o", group="Output")
    overwrite: bool = option(False, help="Replace an existing model.", group="Output")
    about: Path | None = option(
        None,
        help="TOML file with text for the card's [training], [weights] and [use] sections: licence, citation, ...",
        group="Output",
    )
    tensorboard: Path | None = option(
        None, help='Folder for TensorBoard events; needs `pip install "cancernet[tensorboard]"`.', group="Output"
    )
    task: Literal["classify", "segment"] = option(
        "classify", help="Train a classifier on labels, or a U-Net on masks.", group="Model"
    )
    recipe: RecipeName = option(
        "modern",
        help="Default training settings: `modern` (best on unseen patients), `patches` (trains the whole network; for "
        "thousands of small patches of many patients) or `paper` (the method of the paper: 224 x 224 pixels, a softmax "
        "layer on the last convolution, Adam, 25 epochs).",
        group="Model",
    )
    backbone: str | None = option(
        None,
        help=f"Backbone, or the encoder of a U-Net: {', '.join(entry_names(BACKBONES))}, or any timm model.",
        group="Model",
    )
    weights: str = option(
        "imagenet", help="Initial weights of the backbone: imagenet, none, or a safetensors file.", group="Model"
    )
    head: str | None = option(
        None,
        help=f"Classification head, which maps the backbone's feature maps to logits: {', '.join(entry_names(HEADS))}.",
        group="Model",
    )
    levels: str | None = option(
        None,
        help="Feature levels that the head reads, comma-separated, from 0 (stride 2) to 4 (stride 32).",
        group="Model",
    )
    segmenter: str = option(
        "unet", help=f"Segmenter applied before classification: {', '.join(entry_names(SEGMENTERS))}.", group="Model"
    )
    segmentation_model: str = option(
        "tnbc_unet", help="U-Net for --segmenter unet: a bundled model or a folder.", group="Model"
    )
    also_segmenters: str = option(
        "",
        help="Additional segmenters, comma-separated, to evaluate; `classify` can then use them with this model.",
        group="Model",
    )
    background_weight: float | None = option(
        None,
        help="Weight of the background: 0 blanks pixels outside the mask, 1 ignores the mask.",
        min=0,
        max=1,
        group="Model",
    )
    view: View | None = option(
        None, help="`resize`: scale the image to one view; `grid`: tile it at native scale.", group="Model"
    )
    view_width_px: int | None = option(None, help="Width of a view, in pixels.", min=32, group="Model")
    view_height_px: int | None = option(None, help="Height of a view, in pixels.", min=32, group="Model")
    scale: float | None = option(
        None,
        help="Resize factor applied to images (0.5 = half size).",
        min=SCALE_RANGE[0],
        max=SCALE_RANGE[1],
        group="Model",
    )
    scales: str | None = option(
        None,
        help="Resize factor by magnification, such as 40=1,100=0.5,200=0.35,400=0.25, for images whose magnification "
        "or resolution is known (from a BreakHis name or a manifest's columns); --scale is for the others.",
        group="Model",
    )
    stain_normalization: StainNormalization | None = option(
        None,
        help="Stain normalization. `none`: off; `scaled`: scale each channel's optical density to a common maximum; "
        "`balanced`: also remove the tint of the lightest pixels.",
        group="Model",
    )
    repeats: int | None = option(
        None,
        help="Divisions into folds to evaluate, the first as given or drawn, the others drawn; default: 5 with "
        "--recipe modern on a frozen backbone, otherwise 1.",
        min=1,
        max=100,
        group="Split",
    )
    unfreeze: int | None = option(
        None,
        help="Backbone stages to train, from the deepest up; 0 keeps the backbone frozen and computes its features "
        "once.",
        min=0,
        max=5,
        group="Training",
    )
    epochs: int | None = option(None, help="Passes over the training images.", min=1, group="Training")
    learning_rate: float | None = option(None, help="Peak learning rate.", min=0, group="Training")
    patience: int = option(
        8, help="Epochs without a lower validation loss before training stops early; 0: never.", min=0, group="Training"
    )
    sampling: Sampling | None = option(
        None,
        help="How images are sampled: `natural` (all equally often), `class` (classes balanced) or `patient` (classes, "
        "and patients within a class, balanced).",
        group="Training",
    )
    loss: ClassLoss | None = option(
        None, help="Loss: cross-entropy, the same weighted by inverse class frequency, or focal.", group="Training"
    )
    augment: Augment | None = option(
        None,
        help="Random changes of views when the backbone is trained: `usual`, or `light` (less stain and light, no JPEG "
        "artifacts; also zooms out).",
        group="Training",
    )
    label_smoothing: float | None = option(
        None,
        help="Fraction of each label spread over all classes when the backbone is trained; not with --loss focal.",
        min=0,
        max=0.5,
        group="Training",
    )
    dropout: float | None = option(
        None,
        help="Fraction of the head's features dropped when the backbone is trained.",
        min=0,
        max=0.9,
        group="Training",
    )
    variants: int = option(
        0,
        help="Stain- and scale-augmented copies per image for training a head on a frozen backbone.",
        min=0,
        max=64,
        group="Training",
    )
    crop_px: int = option(
        192, help="Side of a U-Net's training crops, in pixels after --scale.", min=32, group="Training"
    )
    mask_threshold: float | None = option(
        None,
        help="Probability threshold of a U-Net's mask; default: the one with the highest Dice on held-out patients.",
        min=0.01,
        max=0.99,
        group="Training",
    )
    abstain_error: float = option(
        0.1,
        help="Error to promise for new cases: the label is `unsure` wherever it takes to keep the mean fraction of "
        "wrong labels in each class at or below this; 0: no promise.",
        min=0,
        max=0.25,
        group="Training",
    )
    mpp: float | None = option(
        None,
        help="Resolution (µm/px) of slides without MPP metadata; default: that of the tiles, with a warning. Without "
        "slides in DATA, and with --task segment: of the images, for the model's card.",
        min=0.02,
        max=10,
        group="Slides",
    )
    tiles_per_slide: int = option(
        200, help="Maximum number of tiles per slide, spread evenly over its tissue.", min=1, group="Slides"
    )
    tile_mpp: float | None = option(
        None,
        help="Resolution of slide tiles, in µm/px; default: that of the photos' views if DATA has photos, "
        "otherwise 0.5.",
        min=0.02,
        max=10,
        group="Slides",
    )
    annotations: Literal["auto", "none"] = option(
        "auto",
        help="`auto`: train on annotated regions where a slide has any (a GeoJSON file in the manifest's column "
        "annotations, or <slide>.geojson next to the slide); `none`: use slide labels only.",
        group="Slides",
    )
    annotation_origin: Literal["auto", "slide", "scan"] = option(
        "auto",
        help="Origin of annotation coordinates in partly scanned slides (MRXS, SCN, BIF): the corner of the slide or "
        "of the scan (QuPath's default, unless opened with --no-crop); `auto` stops if it matters.",
        group="Slides",
    )
    min_annotated: float = option(
        0.5,
        help="Minimum fraction of a tile inside the regions of its class, for annotated slides.",
        min=0.01,
        max=1,
        group="Slides",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.head is not None:
            check_entry("--head", HEADS, self.head)
        check_entry("--segmenter", SEGMENTERS, self.segmenter)
        if self.task == "segment" and (self.repeats or 1) > 1:
            raise OptionError("--repeats is for classifiers, --task is segment", fix="omit --repeats")
