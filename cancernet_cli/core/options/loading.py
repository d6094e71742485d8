"""Options of the commands that read images and run networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cancernet_cli.core.options.base import Auto, Options, option

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class DeviceOptions(Options):
    """Options of the commands that run networks."""

    device: str = option("auto", help="Device: auto, cpu, cuda, cuda:N or mps.", group="Machine")
    precision: Precision = option(
        "auto",
        help="Numeric precision of the networks; auto: fp32 on CPU, fp16 on CUDA.",
        group="Machine",
        changes_result=True,
    )
    batch_size: int | Auto = option("auto", help="Views per forward pass.", min=1, group="Machine")
    workers: int | Auto = option(
        "auto",
        help="Worker processes that read and decode; 0: read in the main process.",
        min=0,
        max=256,
        group="Machine",
    )


@dataclass(frozen=True, kw_only=True)
class LoaderOptions(DeviceOptions):
    """Options of the commands that read images and run networks."""

    max_megapixels: float = option(
        100.0,
        help="Largest image to read, in megapixels.",
        min=0.001,
        group="Input",
        changes_result=True,
    )
    labels: str = option(
        "auto",
        help="Source of true labels: auto, none, folders, breakhis, or a CSV or Parquet file with "
        "path,label[,patient].",
        group="Input",
        changes_result=True,
    )

    @property
    def max_pixels(self) -> int:
        """`max_megapixels` in pixels."""
        return round(self.max_megapixels * 1e6)
