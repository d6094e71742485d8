"""Options of `cancernet classify`, extended by the folder options of the registered sinks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.options.base import option
from cancernet_cli.core.options.shared.loading import InferenceOptions, LoaderOptions
from cancernet_cli.core.options.shared.tiling import TilingOptions
from cancernet_cli.core.options.sinks import SinkOptions

Pool = Literal["mean", "topk", "max", "noisy-or"]


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(InferenceOptions, LoaderOptions, TilingOptions, SinkOptions):
    """Options of `cancernet classify`, extended by the folder options of the registered sinks."""

    out: Path = option(
        Path("predictions.parquet"),
        help="Predictions table: .parquet, or .csv or .xlsx with the Parquet file next to it.",
        short="-o",
        group="Output",
    )
    metrics: Path | None = option(
        None, help="Metrics file, written when true labels are known; default: next to the table.", group="Output"
    )
    report_file: Path | None = option(
        None,
        help="Also write an HTML page with counts, pictures and metrics to this file, as `cancernet report` does.",
        group="Output",
        flag="--report",
    )
    geojson_regions: Literal["tiles", "merged"] = option(
        "tiles",
        help="Features of the --geojson files: every tile, or adjacent tiles with the same label merged.",
        group="Output",
    )
    mask_regions: Path | None = option(
        None,
        help="CSV or Parquet file with slide,x,y,width_px,height_px at level 0, as in the tile table: --masks also "
        "writes the masks of slide tiles that intersect these regions.",
        group="Output",
    )
    abstain: Literal["card", "off"] = option(
        "card",
        help="When to label an image `unsure`: as the model card specifies, or never (off).",
        group="Model",
        changes_result=True,
    )
    pool: Pool = option(
        "mean",
        help="How tile probabilities are pooled into the slide's: mean; topk, mean of the --top-k highest; max; or "
        "noisy-or (probability that at least one tile is positive).",
        group="Slides",
        changes_result=True,
    )
    top_k: int = option(20, help="Number of tiles averaged by --pool topk.", min=1, group="Slides", changes_result=True)
    max_bad_tiles: float = option(
        0.1,
        help="Maximum fraction of tiles that may fail before the slide fails.",
        min=0,
        max=1,
        group="Slides",
        changes_result=True,
    )
    overwrite: bool = option(False, help="Replace an output made with different options.", group="Output")
    strict: bool = option(False, help="Stop at the first file that fails.", group="Run")
    dry_run: bool = option(False, help="Show what would be done, without reading images or writing files.", group="Run")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mask_regions is not None and "masks" not in self.sink_folders():
            raise OptionError("--mask-regions was given without --masks", fix="add --masks with the folder to write to")
