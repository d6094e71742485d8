"""Options of `cancernet classify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.models import DEFAULT_MODEL
from cancernet_cli.core.options.base import option
from cancernet_cli.core.options.loading import LoaderOptions
from cancernet_cli.core.options.sinks import SinkOptions
from cancernet_cli.core.options.tiling import TilingOptions

Pool = Literal["mean", "topk", "max", "noisy-or"]
ClassifyPrecision = Literal["auto", "fp32", "bf16", "fp16", "int8"]


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(LoaderOptions, TilingOptions, SinkOptions):
    """Options of `cancernet classify`, extended by the folder options of the registered sinks."""

    out: Path = option(Path("predictions.parquet"), help="Predictions table (Parquet).", short="-o", group="Output")
    model: str = option(
        DEFAULT_MODEL, help="Name of a bundled model, or path of a model folder.", short="-m", group="Model"
    )
    segmenter: str | None = option(
        None,
        help="Segmenter to use (none, threshold, watershed or unet), if the model card allows it; default: the card's.",
        group="Model",
        changes_result=True,
    )
    precision: ClassifyPrecision = option(  # type: ignore[assignment]  # int8, unlike in training
        "auto",
        help="Numeric precision of inference; auto: fp32 on CPU, fp16 on CUDA. int8 (CPU only) is faster; "
        "probabilities change slightly.",
        group="Machine",
        changes_result=True,
    )
    runtime: Literal["auto", "torch", "openvino"] = option(
        "auto",
        help="Inference library; auto: OpenVINO on CPU if it supports the model, PyTorch otherwise.",
        group="Machine",
    )
    jpeg_scale: Literal["full", "auto"] = option(
        "full",
        help="Resolution at which JPEGs are decoded; auto decodes at 1/2, 1/4 or 1/8 size when the model needs no more "
        "pixels: faster; probabilities change slightly.",
        group="Input",
        changes_result=True,
    )
    metrics: Path | None = option(
        None, help="Metrics file, written when true labels are known; default: next to the table.", group="Output"
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
    pool: Pool = option(
        "mean",
        help="How tile probabilities are pooled into the slide's: mean, mean of the --top-k highest, maximum, or "
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
    dry_run: bool = option(False, help="Show what would be done without doing it.", group="Run")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mask_regions is not None and "masks" not in self.sink_folders():
            raise OptionError("--mask-regions was given without --masks", fix="add --masks with the folder to write to")
