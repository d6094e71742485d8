"""Options of `cancernet evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cancernet_cli.core.options.base import Options, option
from cancernet_cli.core.options.shared.patient_pattern import compiled_pattern, patient_pattern_option


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Options):
    """Options of `cancernet evaluate`."""

    out: Path | None = option(
        None,
        help="Folder for report.html, report.md, metrics.json and plots; default: <table>.evaluation.",
        short="-o",
        group="Output",
    )
    overwrite: bool = option(False, help="Replace an existing report.", group="Output")
    labels: Path | None = option(
        None, help="CSV or Parquet file with path,label[,patient] to use instead of the table's labels.", group="Input"
    )
    patient_pattern: str = patient_pattern_option()
    against: Path | None = option(
        None,
        help="Second table of the same images to compare with: differences with intervals, and McNemar's test.",
        group="Input",
    )
    positive: str | None = option(
        None,
        help="Positive class, if there are two; default: the class that the table's threshold applies to. With "
        "--threshold, also evaluates a table that another program wrote again without its metadata.",
        group="Measures",
    )
    threshold: float | None = option(
        None,
        help="Decision threshold: probability of the positive class; default: the table's decisions.",
        min=0,
        max=1,
        group="Measures",
    )
    kind: Literal["auto", "image", "slide"] = option(
        "auto", help="Rows to evaluate; auto: images, or slides if no image has a label.", group="Input"
    )
    resamples: int = option(1000, help="Number of bootstrap resamples.", min=100, group="Measures")
    seed: int = option(0, help="Seed of the bootstrap.", min=0, group="Measures")
    plots: bool = option(
        True, help="Draw ROC, precision-recall, reliability, confusion and threshold plots.", group="Output"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patient_pattern:
            compiled_pattern(self.patient_pattern)
