"""Options of `cancernet classify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.models import DEFAULT_MODEL
from cancernet_cli.core.options.base import option
from cancernet_cli.core.options.loading import LoaderOptions
from cancernet_cli.core.options.tiling import TilingOptions
from cancernet_cli.core.registry import SEGMENTERS, entry_names

Pool = Literal["mean", "topk", "max", "noisy-or"]
ClassifyPrecision = Literal["auto", "fp32", "bf16", "fp16", "int8"]


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(LoaderOptions, TilingOptions):
    """Options of `cancernet classify`."""

    out: Path = option(Path("predictions.parquet"), help="The table to write.", short="-o", group="Output")
    model: str = option(DEFAULT_MODEL, help="A bundled model's name, or a model's folder.", short="-m", group="Model")
    segmenter: str | None = option(
        None,
        help=f"Segmenter, if the model's card allows it: {', '.join(entry_names(SEGMENTERS))}; default: the card's.",
        group="Model",
        changes_result=True,
    )
    precision: ClassifyPrecision = option(  # type: ignore[assignment]  # one more than where networks learn
        "auto",
        help="Number format of the networks; auto is fp32 on a CPU and fp16 on CUDA. int8 is for CPUs: quicker, "
        "probabilities differ a little.",
        group="Machine",
        changes_result=True,
    )
    runtime: Literal["auto", "torch", "openvino"] = option(
        "auto",
        help="What runs the networks; auto is OpenVINO on a CPU, where it can run the model, and PyTorch elsewhere.",
        group="Machine",
    )
    jpeg_scale: Literal["full", "auto"] = option(
        "full",
        help="auto decodes a JPEG at a half, a quarter or an eighth of its size where the model's views need no more "
        "pixels: quicker, probabilities differ a little.",
        group="Input",
        changes_result=True,
    )
    metrics: Path | None = option(
        None, help="Where metrics go when labels are known; default: beside the table.", group="Output"
    )
    overlays: Path | None = option(
        None, help="Write each image with mask contour, label and percentage here.", group="Output"
    )
    masks: Path | None = option(None, help="Write each image's mask (PNG, 0 to 255) here.", group="Output")
    geojson: Path | None = option(
        None, help="Write each slide's tiles here as GeoJSON, which QuPath opens.", group="Output"
    )
    geojson_regions: Literal["tiles", "merged"] = option(
        "tiles", help="What stands in the GeoJSON: every tile, or touching tiles of one label as one.", group="Output"
    )
    heatmaps: Path | None = option(
        None, help="Draw each slide's probabilities over its thumbnail here, as PNG.", group="Output"
    )
    probability_maps: Path | None = option(
        None, help="Write each slide's probabilities here as a pyramidal TIFF that lies over the slide.", group="Output"
    )
    mask_regions: Path | None = option(
        None,
        help="CSV or Parquet file with slide,x,y,width_px,height_px at level 0, as the tile table has them: --masks "
        "writes the masks of the tiles in these regions of slides.",
        group="Output",
    )
    pool: Pool = option(
        "mean",
        help="How the tiles' probabilities become the slide's: their mean, the mean of the --top-k highest, the "
        "highest, or that at least one tile is positive (noisy-or).",
        group="Slides",
        changes_result=True,
    )
    top_k: int = option(20, help="Tiles that --pool topk takes.", min=1, group="Slides", changes_result=True)
    max_bad_tiles: float = option(
        0.1,
        help="Share of a slide's tiles that may fail; beyond, the slide fails.",
        min=0,
        max=1,
        group="Slides",
        changes_result=True,
    )
    overwrite: bool = option(False, help="Replace an output that was made with other options.", group="Output")
    strict: bool = option(False, help="Stop at the first file that fails.", group="Run")
    dry_run: bool = option(False, help="Say what would be done, and do nothing.", group="Run")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mask_regions is not None and self.masks is None:
            raise OptionError("--mask-regions was given without --masks", fix="say with --masks where the masks go")
