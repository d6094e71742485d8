"""One run of `cancernet finetune`: what the user asked for, resolved once and shared by all its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from cancernet_cli.core.events import Reporter, silent
from cancernet_cli.core.models import find_model
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.options.recipes import Recipe
from cancernet_cli.engine.finetune.model_folder import read_about
from cancernet_cli.inference.runtime import Runtime, resolve
from cancernet_cli.outputs.reports.tensorboard import check_board
from cancernet_cli.segmentation import segmenters
from cancernet_cli.training.distributed import Processes, join_processes


@dataclass(frozen=True)
class FinetuneJob:
    """What every step of a run needs.

    data: the inputs as given. processes: this process among those started by `torchrun`; only the first one reports.
    segmentation_model: the folder of `--segmentation-model` where a segmenter needs one.
    """

    data: tuple[str, ...]
    options: FinetuneOptions
    recipe: Recipe
    runtime: Runtime
    processes: Processes
    report: Reporter
    segmentation_model: Path | None = None

    def segmenter(self, name: str) -> nn.Module:
        """A new segmenter of this name."""
        segmenter: nn.Module = segmenters[name].factory(self.segmentation_model)
        return segmenter


def open_job(data: Sequence[str], options: FinetuneOptions, recipe: Recipe, report: Reporter = silent) -> FinetuneJob:
    """Check the options and resolve what they name, before any image is read.

    Raises:
        InputError: `--about` cannot be used.
        ModelError: there is no such segmentation model.
        DeviceError: the device does not exist, or does not support the precision.
        OptionError: TensorBoard is asked for and not installed, or a segmenter is unknown.
    """
    read_about(options)
    check_board(options.tensorboard)
    processes = join_processes()
    return FinetuneJob(
        data=tuple(data),
        options=options,
        recipe=recipe,
        runtime=resolve(options),
        processes=processes,
        report=report if processes.is_first else silent,
        segmentation_model=_segmentation_model(options) if options.task == "classify" else None,
    )


def also_segmenters(options: FinetuneOptions) -> list[str]:
    """The other segmenters to measure, each once, in the order given."""
    names = [name.strip() for name in options.also_segmenters.split(",")]
    return [name for name in dict.fromkeys(names) if name and name != options.segmenter]


def _segmentation_model(options: FinetuneOptions) -> Path | None:
    names = [options.segmenter, *also_segmenters(options)]
    needed = any(segmenters[name].facts.get("needs_model") for name in names)
    return find_model(options.segmentation_model) if needed else None
