"""Options of `cancernet compare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cancernet_cli.core.choices import FrozenRecipe
from cancernet_cli.core.options.base import option
from cancernet_cli.core.options.shared.learning import LearningOptions


@dataclass(frozen=True, kw_only=True)
class CompareOptions(LearningOptions):
    """Options of `cancernet compare`."""

    out: Path = option(
        Path("comparison"), help="Folder for the table, the curves and the finished cells.", short="-o", group="Output"
    )
    overwrite: bool = option(False, help="Recompute cells made with other options.", group="Output")
    backbones: str = option(
        "vgg16,resnet50,densenet121,tf_efficientnet_lite0", help="Networks to compare, comma-separated.", group="Model"
    )
    segmenters: str = option(
        "none,threshold,watershed,unet", help="Segmenters to compare, comma-separated.", group="Model"
    )
    segmentation_model: str = option("tnbc_unet", help="U-Net: name of a bundled model, or a folder.", group="Model")
    weights: str = option(
        "imagenet",
        help="Initial weights: imagenet, none, or comma-separated name=file pairs; other networks start from imagenet, "
        "or from random weights (marked in the table) if it is not available.",
        group="Model",
    )
    recipe: FrozenRecipe = option("paper", help="Training recipe of every cell.", group="Model")
    background_weight: float | None = option(
        None, help="Weight of pixels outside the mask; default: the recipe's.", min=0, max=1, group="Model"
    )
    baselines: bool = option(
        True,
        help="Include baselines without a network: color and texture features with simple classifiers.",
        group="Comparison",
    )
    leaking: bool = option(True, help="Also show what a split by image would have claimed.", group="Comparison")
    epochs: int | None = option(None, help="Training epochs per cell; default: the recipe's.", min=1, group="Training")
