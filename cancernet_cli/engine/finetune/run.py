"""`cancernet finetune`: a model from labelled images and slides, or from images with masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cancernet_cli.core.events import Reporter, silent
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.options.base import chosen, input_names
from cancernet_cli.core.options.recipes import recipe_of
from cancernet_cli.core.records import FinetuneResult
from cancernet_cli.engine.finetune.classifier import train_classifier
from cancernet_cli.engine.finetune.model_folder import check_out
from cancernet_cli.engine.finetune.segmenter.run import train_segmenter


def finetune(
    data: str | Path | Sequence[str | Path],
    options: FinetuneOptions | None = None,
    report: Reporter = silent,
    **changes: Any,
) -> FinetuneResult:
    """Train a model on `data` and write its card and weights to `options.out`.

    On a CPU, the same data, options, package versions and number of threads give the same weights.

    Args:
        data: For classification, the inputs of `cancernet classify`, with labels; for segmentation, manifests with
            columns `image,mask,patient[,split]`.
        options: Where to write, how to split and how to train.
        report: Called with progress, notes and warnings (`core.events`).
        changes: Options by name that override `options`, as in `finetune("mine", out="models/mine", folds=5)`.

    Returns:
        The model folder, the numbers of images and patients, and the metrics on its card.

    Raises:
        InputError: An image cannot be read, labels or patients are missing, or they cannot be split.
        ModelError: The backbone or its weights are not available.
        OutputError: The folder already holds a model and `overwrite` is off, or it cannot be written.
    """
    options, data = chosen(FinetuneOptions, options, changes), input_names(data)
    check_out(options)
    train = train_segmenter if options.task == "segment" else train_classifier
    return train(data, options, recipe_of(options), report)
