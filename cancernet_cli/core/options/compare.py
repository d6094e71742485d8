"""Options of `cancernet compare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cancernet_cli.core.choices import RecipeName
from cancernet_cli.core.options.base import option
from cancernet_cli.core.options.learning import LearningOptions


@dataclass(frozen=True, kw_only=True)
class CompareOptions(LearningOptions):
    """Options of `cancernet compare`."""

    out: Path = option(
        Path("comparison"), help="Folder for the table, the curves and the finished cells.", short="-o", group="Output"
    )
    overwrite: bool = option(False, help="Start again even where cells were made with other options.", group="Output")
    backbones: str = option(
        "vgg16,resnet50,densenet121,tf_efficientnet_lite0", help="The networks to compare, with commas.", group="Model"
    )
    segmenters: str = option(
        "none,threshold,watershed,unet", help="The segmenters to compare, with commas.", group="Model"
    )
    segmentation_model: str = option("tnbc_unet", help="The U-Net: a bundled model's name, or a folder.", group="Model")
    weights: str = option(
        "imagenet",
        help="What the networks start from: imagenet, none, or name=file pairs with commas; networks not named start "
        "from imagenet, and from random weights (the table says so) where that cannot be had.",
        group="Model",
    )
    recipe: RecipeName = option("paper", help="The recipe each cell is trained by.", group="Model")
    keep: float | None = option(
        None, help="How much of a pixel outside the mask stays; default: the recipe's.", min=0, max=1, group="Model"
    )
    baselines: bool = option(
        True, help="Colour and texture with SVM and naive Bayes stand in the table too.", group="Model"
    )
    leaking: bool = option(True, help="Show beside it what a split by image would have claimed.", group="Split")
    epochs: int | None = option(None, help="Epochs of a cell; default: the recipe's.", min=1, group="Training")
