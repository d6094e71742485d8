"""How often the division into folds is repeated."""

from __future__ import annotations

import numpy as np

from cancernet_cli.core.arrays import I64
from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.events import Note, Warn
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.data.splits.repeats import repeated_folds
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages, UnsplitImages
from cancernet_cli.engine.finetune.job import FinetuneJob

USUAL = 5  # where a repetition costs seconds


def check_repeats(images: UnsplitImages, options: FinetuneOptions) -> None:
    """Check, before any image is read, that there are folds to repeat.

    Raises:
        OptionError: `--repeats` is given, but there is a single split.
    """
    is_single = options.folds == 1 if images.given is None else images.given.column == "split"
    if is_single and (options.repeats or 1) > 1:
        raise OptionError(
            f"--repeats {options.repeats} repeats a division into folds, but there is a single split",
            fix="omit --repeats, or pass --resplit with --folds 5",
        )


def divide(images: LabelledImages, job: FinetuneJob) -> list[I64]:
    """The fold of each image, `[N]`, in each division; the first is that of the images."""
    if images.splits is not None:
        return [images.folds]
    is_fast = job.recipe.unfreeze == 0 and job.recipe.fit == "logistic"
    repeats = job.options.repeats or (USUAL if is_fast else 1)
    if images.leaks and repeats > 1:
        job.report(Warn("the given folds leak, so no other division into folds is drawn"))
        repeats = 1
    if repeats > 1:
        job.report(Note(f"{repeats} divisions into {len(np.unique(images.folds))} folds"))
    return repeated_folds(images.labels, images.groups, images.folds, repeats, job.options.seed)
