"""Options of `cancernet bench`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.models import DEFAULT_MODEL
from cancernet_cli.core.options.base import Auto, Options, option
from cancernet_cli.core.registry import SEGMENTERS, entry_names


@dataclass(frozen=True, kw_only=True)
class BenchOptions(Options):
    """Options of `cancernet bench`; those of the machine are `ClassifyOptions`' own, measured instead of used."""

    json: Path | None = option(None, help="Write everything that was measured here.", group="Output")
    plot: Path | None = option(None, help="Draw stages, rates and sweeps as a PNG.", group="Output")
    compare: Path | None = option(
        None, help="A file of an earlier --json: show each stage's change against it.", group="Output"
    )
    model: str = option(DEFAULT_MODEL, help="A bundled model's name, or a model's folder.", short="-m", group="Model")
    backbone: str | None = option(
        None,
        help="Measure this network instead, with random weights, two classes and images squeezed into 224 x 224; "
        "nothing is segmented unless --segmenter says so.",
        group="Model",
    )
    segmenter: str | None = option(
        None, help=f"Segmenter: {', '.join(entry_names(SEGMENTERS))}; default: the card's.", group="Model"
    )
    input: Path | None = option(
        None, help="Measure on the images of this folder; default: generated ones.", short="-i", group="Input"
    )
    files: int | Auto = option(
        "auto",
        help="How many images to generate, of 16 different pictures; auto is 64 on a CPU and 24576 on a GPU.",
        min=1,
        group="Input",
    )
    size: str = option("700x460", help="Width and height of generated images, in pixels.", group="Input")
    image_format: Literal["png", "jpeg", "tiff"] = option("png", help="Format of generated images.", group="Input")
    jpeg_scale: Literal["full", "auto"] = option(
        "full", help="How JPEGs are decoded, as for `cancernet classify`.", group="Input"
    )
    repeat: int = option(3, help="Times that everything is measured; the median counts.", min=1, group="Measures")
    warm_up: int = option(1, help="Whole runs before the ones that count.", min=0, group="Measures")
    cold: bool = option(
        False,
        help="Time the first start of all too, with networks converted or compiled into an empty cache.",
        group="Measures",
    )
    sweep_batch_size: str = option(
        "", help="Measure the whole way with each of these batch sizes, with commas, as 1,4,16.", group="Measures"
    )
    sweep_workers: str = option(
        "", help="Measure the whole way with each of these counts of workers, with commas, as 0,1,2.", group="Measures"
    )
    sweep_precision: str = option(
        "",
        help="Measure the whole way, and how far probabilities move, in each of these precisions, as fp32,bf16.",
        group="Measures",
    )
    advise: bool = option(
        True,
        help="Keep the best of a sweep for this model and machine, for auto of `cancernet classify`.",
        group="Measures",
    )
    device: str = option("auto", help="auto, cpu, cuda, cuda:N or mps.", group="Machine")
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = option(
        "auto", help="Number format of the networks.", group="Machine"
    )
    runtime: Literal["auto", "torch", "openvino"] = option("auto", help="What runs the networks.", group="Machine")
    batch_size: int | Auto = option("auto", help="Views a forward pass takes.", min=1, group="Machine")
    workers: int | Auto = option(
        "auto", help="Processes that read and decode; 0 does it in the main one.", min=0, max=256, group="Machine"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.size_px, self.batch_sizes, self.worker_counts, self.precisions

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of generated images."""
        sides = self.size.lower().split("x")
        if len(sides) != 2 or not all(side.isdecimal() and 16 <= int(side) <= 20_000 for side in sides):
            raise OptionError(f"--size is {self.size!r}", fix="give width and height in pixels, as 700x460")
        return int(sides[0]), int(sides[1])

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Those of --sweep-batch-size."""
        return _numbers("--sweep-batch-size", self.sweep_batch_size, least=1)

    @property
    def worker_counts(self) -> tuple[int, ...]:
        """Those of --sweep-workers."""
        return _numbers("--sweep-workers", self.sweep_workers, least=0)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those of --sweep-precision."""
        found = tuple(name.strip() for name in self.sweep_precision.split(",") if name.strip())
        known = ("fp32", "bf16", "fp16", "int8")
        for name in found:
            if name not in known:
                raise OptionError(f"--sweep-precision names {name!r}", fix=f"choose from: {', '.join(known)}")
        return found


def _numbers(flag: str, words: str, *, least: int) -> tuple[int, ...]:
    """Whole numbers with commas between them, each once, in their order."""
    found = [word.strip() for word in words.split(",") if word.strip()]
    for word in found:
        if not word.isdecimal() or int(word) < least:
            raise OptionError(f"{flag} names {word!r}", fix=f"give whole numbers from {least} on, with commas")
    return tuple(dict.fromkeys(map(int, found)))
