"""Options of `cancernet evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cancernet_cli.core.options.base import Options, option


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Options):
    """Options of `cancernet evaluate`."""

    out: Path | None = option(
        None,
        help="Folder for report.md, metrics.json and plots; default: <table>.evaluation.",
        short="-o",
        group="Output",
    )
    overwrite: bool = option(False, help="Replace a report that is already there.", group="Output")
    labels: Path | None = option(
        None, help="CSV or Parquet file with path,label[,patient] that replaces the table's labels.", group="Input"
    )
    against: Path | None = option(
        None, help="A second table of the same images: the difference, with interval and McNemar's test.", group="Input"
    )
    positive: str | None = option(
        None, help="The positive one of two classes; default: the one the table was decided by.", group="Measures"
    )
    threshold: float | None = option(
        None, help="Decide again at this probability of the positive class.", min=0, max=1, group="Measures"
    )
    kind: Literal["auto", "image", "slide"] = option(
        "auto", help="Which rows to judge; auto takes images, and slides where there is no image.", group="Input"
    )
    resamples: int = option(1000, help="Resamples of the bootstrap over patients.", min=100, group="Measures")
    seed: int = option(0, help="Seed of the bootstrap.", min=0, group="Measures")
    plots: bool = option(
        True, help="Draw ROC, precision-recall, reliability, confusion and threshold plots.", group="Output"
    )
