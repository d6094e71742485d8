"""The values that options, recipes and model cards share, each set declared once."""

from __future__ import annotations

from typing import Literal

UNSURE = "unsure"  # the label of an image that the model does not decide on; no class may have this name

# How an image becomes views, and how their stain is normalised (see `core.cards.InputPolicy`).
View = Literal["resize", "grid"]
StainNormalization = Literal["none", "scaled", "balanced"]
# How often training draws an image, how it changes views, and what a classifier minimises (see `FinetuneOptions`).
Sampling = Literal["natural", "class", "patient"]
ClassLoss = Literal["cross-entropy", "weighted", "focal"]
Augment = Literal["usual", "light"]
FrozenRecipe = Literal["modern", "paper"]
RecipeName = Literal["modern", "paper", "patches"]
# Least and greatest factor by which images are resized before their views are cut.
SCALE_RANGE = (0.05, 4.0)
