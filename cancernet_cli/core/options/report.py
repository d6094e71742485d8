"""Options of `cancernet report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cancernet_cli.core.options.base import Auto, Options, option


@dataclass(frozen=True, kw_only=True)
class ReportOptions(Options):
    """Options of `cancernet report`."""

    out: Path | None = option(None, help="HTML file; default: <table>.report.html.", short="-o", group="Output")
    images: Path | None = option(
        None,
        help="Folder that the table's paths are relative to; default: the folder that was classified.",
        group="Input",
    )
    kind: Literal["auto", "image", "slide"] = option(
        "auto", help="Rows to measure; auto: images, or slides if no image has a label.", group="Measures"
    )
    rows: int = option(2000, help="Rows shown at most; the page says how they were chosen.", min=1, group="Output")
    pictures: int = option(300, help="Rows shown with a picture at most.", min=0, group="Output")
    max_mb: float = option(
        25.0, help="Size limit of the page in megabytes; pictures are omitted to stay below it.", min=1, group="Output"
    )
    seed: int = option(0, help="Seed of the random part of the sample.", min=0, group="Output")
    resamples: int = option(1000, help="Number of bootstrap resamples.", min=100, group="Measures")
    workers: int | Auto = option(
        "auto",
        help="Worker processes that read images; 0: one that does not read ahead.",
        min=0,
        max=256,
        group="Machine",
    )
    file_timeout: float = option(
        60.0,
        help="Seconds after which a picture is given up; a slide may take five times as long.",
        min=0.01,
        group="Input",
    )
