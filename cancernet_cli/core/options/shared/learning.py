"""Options for the training data and how it is split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cancernet_cli.core.options.base import option
from cancernet_cli.core.options.shared.loading import LoaderOptions


@dataclass(frozen=True, kw_only=True)
class LearningOptions(LoaderOptions):
    """Training data and its split; shared by the commands that train."""

    magnification: str = option(
        "", help="Magnifications to train on, comma-separated, such as 40,100; default: all.", group="Input"
    )
    target: Literal["binary", "subtype"] = option(
        "binary", help="Classes to distinguish: benign and malignant, or the eight subtypes of BreakHis.", group="Input"
    )
    classes: str = option(
        "",
        help="Labels to train on, comma-separated, instead of --target's; of two, the last is the positive class.",
        group="Input",
    )
    folds: int = option(
        5,
        help="Cross-validation folds, split by patient; 1: a single split into train, validation and test.",
        min=1,
        max=100,
        group="Split",
    )
    test_share: float = option(
        0.2, help="Fraction of patients held out for testing (with --folds 1).", min=0.01, max=0.8, group="Split"
    )
    validation_share: float = option(
        0.2,
        help="Fraction of training patients held out for early stopping and, with --folds 1, the threshold.",
        min=0.01,
        max=0.8,
        group="Split",
    )
    resplit: bool = option(
        False, help="Draw a new split even if the manifest has a split or fold column.", group="Split"
    )
    allow_leak: bool = option(
        False,
        help="Continue if a given split has a patient or an image on both sides; every figure is marked as leaking.",
        group="Split",
    )
    seed: int = option(0, help="Random seed.", min=0, group="Training")
