"""Options of `cancernet bench`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.options.base import Auto, option
from cancernet_cli.core.options.shared.loading import InferenceOptions


@dataclass(frozen=True, kw_only=True)
class BenchOptions(InferenceOptions):
    """Options of `cancernet bench`."""

    json: Path | None = option(None, help="Write the measurement to this JSON file.", group="Output")
    plot: Path | None = option(None, help="Plot stages, rates and sweeps to this PNG file.", group="Output")
    compare: Path | None = option(
        None, help="Earlier --json file: show how each stage and rate has changed since.", group="Output"
    )
    backbone: str | None = option(
        None,
        help="Measure this backbone with random weights instead of a model: two classes, images resized to 224 x 224, "
        "no segmentation unless --segmenter is given.",
        group="Model",
    )
    input: Path | None = option(
        None, help="Folder of images to measure on; default: generated images.", short="-i", group="Input"
    )
    files: int | Auto = option(
        "auto",
        help="Number of images to generate (16 distinct ones, repeated); auto: 64 on CPU, 24,576 on GPU.",
        min=1,
        group="Input",
    )
    size: str = option("700x460", help="Width x height of generated images, in pixels.", group="Input")
    image_format: Literal["png", "jpeg", "tiff"] = option("png", help="Format of generated images.", group="Input")
    repeat: int = option(
        3, help="Number of repetitions of every measurement; medians are reported.", min=1, group="Measurement"
    )
    warm_up: int = option(1, help="Number of complete runs before the measured ones.", min=0, group="Measurement")
    cold: bool = option(
        False,
        help="Also time the first start ever, when networks are converted or compiled into an empty cache.",
        group="Measurement",
    )
    sweep_batch_size: str = option(
        "", help="Measure end to end with each of these batch sizes, e.g. 1,4,16.", group="Measurement"
    )
    sweep_workers: str = option(
        "", help="Measure end to end with each of these numbers of workers, e.g. 0,1,2.", group="Measurement"
    )
    sweep_precision: str = option(
        "",
        help="Measure speed and the change in probabilities at each of these precisions, e.g. fp32,bf16.",
        group="Measurement",
    )
    advise: bool = option(
        True,
        help="Save the best settings of a sweep; `cancernet classify` uses them for auto on this machine.",
        group="Measurement",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.size_px, self.batch_sizes, self.worker_counts, self.precisions

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of generated images."""
        sides = self.size.lower().split("x")
        if len(sides) != 2 or not all(side.isdecimal() and 16 <= int(side) <= 20_000 for side in sides):
            raise OptionError(f"--size is {self.size!r}", fix="pass width and height in pixels, e.g. 700x460")
        return int(sides[0]), int(sides[1])

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Batch sizes of --sweep-batch-size."""
        return _numbers("--sweep-batch-size", self.sweep_batch_size, least=1)

    @property
    def worker_counts(self) -> tuple[int, ...]:
        """Numbers of workers of --sweep-workers."""
        return _numbers("--sweep-workers", self.sweep_workers, least=0)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions of --sweep-precision."""
        found = tuple(name.strip() for name in self.sweep_precision.split(",") if name.strip())
        known = ("fp32", "bf16", "fp16", "int8")
        for name in found:
            if name not in known:
                raise OptionError(f"--sweep-precision has {name!r}", fix=f"choose from: {', '.join(known)}")
        return found


def _numbers(flag: str, words: str, *, least: int) -> tuple[int, ...]:
    """Distinct integers of a comma-separated list, in order."""
    found = [word.strip() for word in words.split(",") if word.strip()]
    for word in found:
        if not word.isdecimal() or int(word) < least:
            raise OptionError(f"{flag} has {word!r}", fix=f"pass integers of at least {least}, separated by commas")
    return tuple(dict.fromkeys(map(int, found)))
