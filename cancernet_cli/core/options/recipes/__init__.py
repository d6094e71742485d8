"""Recipes: default training settings, for options that are not set."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Literal

from cancernet_cli.core.choices import SCALE_RANGE, Augment, ClassLoss, RecipeName, Sampling, StainNormalization, View
from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.options import FinetuneOptions

_TUNING = ("augment", "label_smoothing", "dropout")
LEVELS = ("0", "1", "2", "3", "4")


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How `--unfreeze` trains the weights of a backbone, together with the head.

    batch: views per step, unless `--batch-size` is given.
    thaw: fraction of the epochs before the deepest stage is unfrozen, and between stages; 0: all at once.
    backbone_rate, deeper_rate: learning rate of the deepest stage relative to the head's, and of each further stage
        relative to the one above it.
    warm_up, average, weight_decay: see `training.task.LoopPolicy`.
    batch_statistics: whether batch normalization uses the statistics of the batch, and learns those of the images.
    """

    batch: int = 16
    thaw: float = 0.1
    # Each stage trains at this times the rate of the one above it (Howard, Ruder, arXiv:1801.06146).
    backbone_rate: float = 0.5
    deeper_rate: float = 0.5
    warm_up: float = 0.1
    average: float = 0.99
    weight_decay: float = 1e-2
    batch_statistics: bool = False


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings that a recipe decides; see `FinetuneOptions` for those that are options too.

    fit: how a head on a frozen backbone is fitted. `logistic`: to the optimum, with the penalty chosen by
        patient-grouped cross-validation (`training.logistic`). `adam`: softmax by gradient steps (`training.softmax`).
    normalise: whether pixels in 0..1 are standardised by the backbone's mean and standard deviation.
    tuning: how the backbone is trained, with `unfreeze`.
    """

    backbone: str
    head: str
    levels: tuple[int, ...]
    fit: Literal["logistic", "adam"]
    normalise: bool
    background_weight: float
    view: View
    view_width_px: int
    view_height_px: int
    scale: float
    scales: dict[str, float] = field(default_factory=dict)
    stain_normalization: StainNormalization
    epochs: int
    learning_rate: float
    sampling: Sampling
    loss: ClassLoss
    unfreeze: int = 0
    augment: Augment = "usual"
    label_smoothing: float = 0.0
    dropout: float = 0.0
    tuning: Tuning = Tuning()


# IJNRD 7(6), June 2022: 224 x 224, pixels in 0..1, softmax on the last convolution, Adam 0.001, 25 epochs.
PAPER = Recipe(
    backbone="vgg16",
    head="flatten",
    levels=(4,),
    fit="adam",
    normalise=False,
    background_weight=0.0,
    view="resize",
    view_width_px=224,
    view_height_px=224,
    scale=1.0,
    stain_normalization="none",
    epochs=25,
    learning_rate=1e-3,
    sampling="natural",
    loss="cross-entropy",
)
# The best figures on unseen patients; docs/tried.md lists what else was tried.
MODERN = Recipe(
    backbone="tf_efficientnet_lite0",
    head="correlations",
    levels=(2,),
    fit="logistic",
    normalise=True,
    background_weight=0.75,
    view="grid",
    view_width_px=352,
    view_height_px=224,
    scale=0.5,
    stain_normalization="scaled",
    epochs=30,
    learning_rate=3e-4,
    sampling="patient",
    loss="cross-entropy",
)
# A U-Net: ImageNet encoder, random crops at half the scale of a 40x image.
SEGMENT = replace(MODERN, stain_normalization="none", epochs=60, learning_rate=1e-3)

# Thousands of small patches of hundreds of patients: the whole network is trained at once, in few epochs.
PATCHES = replace(
    MODERN,
    head="linear",
    levels=(4,),
    background_weight=1.0,
    view_width_px=128,
    view_height_px=128,
    scale=1.0,
    stain_normalization="none",
    epochs=6,
    learning_rate=1.8e-3,
    sampling="natural",
    unfreeze=5,
    augment="light",
    label_smoothing=0.05,
    dropout=0.3,
    tuning=Tuning(
        batch=128, thaw=0.0, backbone_rate=1 / 3, deeper_rate=1.0, warm_up=0.2, average=0.995, weight_decay=0.02,
        batch_statistics=True,
    ),
)  # fmt: skip

RECIPES: dict[RecipeName, Recipe] = {"paper": PAPER, "modern": MODERN, "patches": PATCHES}


def recipe_of(options: FinetuneOptions) -> Recipe:
    """The recipe that the options name, in which options that are set replace the defaults.

    Raises:
        OptionError: `--levels` is not a list of levels, or `--scales` is invalid or does not apply, or an option for
            training a backbone does not.
    """
    recipe = SEGMENT if options.task == "segment" else RECIPES[options.recipe]
    given = {f.name: getattr(options, f.name, None) for f in fields(recipe)}
    if options.levels is not None:
        words = [word.strip() for word in options.levels.split(",")]
        if not set(words) <= set(LEVELS):
            raise OptionError(
                f"--levels needs numbers from 0 to 4, got {options.levels!r}", fix="separate them by commas: 1,2,3"
            ) from None
        given["levels"] = tuple(int(word) for word in words)
    if options.scales is not None:
        given["scales"] = parse_scales(options.scales)
    recipe = replace(recipe, **{name: value for name, value in given.items() if value is not None})
    if recipe.scales and (options.task == "segment" or recipe.view != "grid"):
        used = "--task segment, which trains at one" if options.task == "segment" else f"--view {recipe.view}"
        raise OptionError(f"--scales does not apply to {used}", fix="omit it, or classify with --view grid")
    _check_tuning(options, recipe)
    return recipe


def _check_tuning(options: FinetuneOptions, recipe: Recipe) -> None:
    """Raises OptionError if an option for training a backbone was given, and none is trained."""
    given = [f"--{name.replace('_', '-')}" for name in _TUNING if getattr(options, name) is not None]
    if given and (options.task == "segment" or not recipe.unfreeze):
        what = "--task segment" if options.task == "segment" else "a frozen backbone"
        raise OptionError(f"{given[0]} does not apply to {what}", fix="omit it, or train the backbone with --unfreeze")
    if recipe.label_smoothing and recipe.loss == "focal":
        raise OptionError("--label-smoothing does not apply to --loss focal", fix="pass --label-smoothing 0")


def parse_scales(text: str) -> dict[str, float]:
    """The value of `--scales`: resize factor by magnification, ascending.

    Raises:
        OptionError: it is not a list of magnifications with a factor each, or a factor is out of range.
    """
    found: dict[float, float] = {}
    words = [word.strip() for word in text.split(",")]
    for word in words:
        power, _, scale = word.partition("=")
        try:
            found[float(power.strip().rstrip("xX"))] = float(scale)
        except ValueError:
            found[math.nan] = math.nan
    low, high = SCALE_RANGE
    powers_fit = all(power > 0 and math.isfinite(power) for power in found)
    if len(found) < len(words) or not powers_fit or not all(low <= scale <= high for scale in found.values()):
        raise OptionError(
            f"--scales is {text!r}",
            fix=f"give each magnification once with a factor from {low:g} to {high:g}: 40=1,100=0.5",
        )
    return {f"{power:g}": found[power] for power in sorted(found)}
