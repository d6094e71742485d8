"""What `--recipe` decides where the user said nothing."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

from cancernet_cli.core.choices import ClassLoss, Density, RecipeName, Sampling, View
from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.options import FinetuneOptions

LEVELS = ("0", "1", "2", "3", "4")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything about a training run that a recipe decides; see `FinetuneOptions` for what each means.

    fit: how a head on a frozen backbone is fitted. `logistic`: to the optimum, its penalty chosen by cross-validation
        over patients (`training.logistic`). `adam`: softmax by gradient steps, epoch by epoch (`training.softmax`).
    normalise: pixels in 0..1 get the mean and deviation that the backbone expects; else they stay in 0..1.
    """

    backbone: str
    head: Literal["level_stats", "correlations", "linear", "flatten"]
    levels: tuple[int, ...]
    fit: Literal["logistic", "adam"]
    normalise: bool
    keep: float
    view: View
    view_width_px: int
    view_height_px: int
    scale: float
    density: Density
    epochs: int
    learning_rate: float
    sampling: Sampling
    loss: ClassLoss


# IJNRD 7(6), June 2022: 224 x 224, pixels in 0..1, the convolutions' output into softmax, Adam 0.001, 25 epochs.
PAPER = Recipe(
    backbone="vgg16",
    head="flatten",
    levels=(4,),
    fit="adam",
    normalise=False,
    keep=0.0,
    view="resize",
    view_width_px=224,
    view_height_px=224,
    scale=1.0,
    density="as_is",
    epochs=25,
    learning_rate=1e-3,
    sampling="natural",
    loss="cross-entropy",
)
# What gave the best figures on patients that the model had not seen: docs/tried.md has what else was tried.
MODERN = Recipe(
    backbone="tf_efficientnet_lite0",
    head="correlations",
    levels=(2,),
    fit="logistic",
    normalise=True,
    keep=0.75,
    view="grid",
    view_width_px=352,
    view_height_px=224,
    scale=0.5,
    density="scaled",
    epochs=30,
    learning_rate=3e-4,
    sampling="patient",
    loss="cross-entropy",
)
# A U-Net: ImageNet encoder, random crops at half the scale of a 40x image.
SEGMENT = replace(MODERN, density="as_is", epochs=60, learning_rate=1e-3)

RECIPES: dict[RecipeName, Recipe] = {"paper": PAPER, "modern": MODERN}


def recipe_of(options: FinetuneOptions) -> Recipe:
    """The recipe that the options name, with what the user said in place of its own values.

    Raises:
        OptionError: `--levels` is not a list of levels.
    """
    recipe = SEGMENT if options.task == "segment" else RECIPES[options.recipe]
    said = {f.name: getattr(options, f.name, None) for f in fields(recipe)}
    if options.levels is not None:
        words = [word.strip() for word in options.levels.split(",")]
        if not set(words) <= set(LEVELS):
            raise OptionError(
                f"--levels is {options.levels!r}", fix="give numbers from 0 to 4 with commas, as 1,2,3"
            ) from None
        said["levels"] = tuple(int(word) for word in words)
    return replace(recipe, **{name: value for name, value in said.items() if value is not None})
