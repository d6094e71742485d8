"""What is learned from, and how it is split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cancernet_cli.core.options.base import option
from cancernet_cli.core.options.loading import LoaderOptions


@dataclass(frozen=True, kw_only=True)
class LearningOptions(LoaderOptions):
    """What is learned from, and how it is split; shared by the commands that train."""

    magnification: str = option(
        "", help="Learn from these magnifications only, with commas, as 100 or 40,100; default: all.", group="Input"
    )
    target: Literal["binary", "subtype"] = option(
        "binary", help="What to tell apart: benign and malignant, or the eight subtypes of BreakHis.", group="Input"
    )
    classes: str = option(
        "",
        help="The labels to learn, with commas, instead of --target's; of two, the last is the positive one.",
        group="Input",
    )
    folds: int = option(
        5,
        help="Folds of the cross-validation, split by patient; 1: one split into train, validation and test.",
        min=1,
        max=100,
        group="Split",
    )
    test_share: float = option(
        0.2, help="Share of the patients that test, with --folds 1.", min=0.01, max=0.8, group="Split"
    )
    validation_share: float = option(
        0.2,
        help="Share of the training patients that say when to stop, and with --folds 1 choose the threshold.",
        min=0.01,
        max=0.8,
        group="Split",
    )
    resplit: bool = option(
        False, help="Draw the split even where the manifest has a column split or fold.", group="Split"
    )
    allow_leak: bool = option(
        False,
        help="Go on when a given split has a patient, or the same picture, on both sides; every figure is stamped.",
        group="Split",
    )
    seed: int = option(0, help="Seed of every random choice.", min=0, group="Training")
