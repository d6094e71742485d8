"""`cancernet finetune`: a model from labelled images and slides, or from images with masks."""

from __future__ import annotations

from collections.abc import Sequence

from cancernet_cli.core.events import Reporter, silent
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.recipes import recipe_of
from cancernet_cli.core.records import FinetuneResult
from cancernet_cli.engine.finetune.classifier import train_classifier
from cancernet_cli.engine.finetune.model_folder import check_out
from cancernet_cli.engine.finetune.segmenter.run import train_segmenter


def finetune(data: Sequence[str], options: FinetuneOptions, report: Reporter = silent) -> FinetuneResult:
    """Train on `data` and write card and weights to `options.out`.

    The same data, options, versions and number of threads give the same weights on a CPU.

    Args:
        data: for a classifier, labelled inputs as for `cancernet classify`; for a segmenter, manifests with
            image,mask,patient[,split].

    Raises:
        InputError: no image can be read, labels or patients are missing, or they cannot be split.
        ModelError: the backbone or its weights are not available.
        OutputError: a model exists and `overwrite` is off, or the folder cannot be written.
    """
    check_out(options)
    train = train_segmenter if options.task == "segment" else train_classifier
    return train(data, options, recipe_of(options), report)
