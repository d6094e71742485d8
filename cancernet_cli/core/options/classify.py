"""Options of `cancernet classify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cancernet_cli.core.models import DEFAULT_MODEL
from cancernet_cli.core.options.base import option
from cancernet_cli.core.options.loading import LoaderOptions

ClassifyPrecision = Literal["auto", "fp32", "bf16", "fp16", "int8"]


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(LoaderOptions):
    """Options of `cancernet classify`."""

    out: Path = option(Path("predictions.parquet"), help="The table to write.", short="-o", group="Output")
    model: str = option(DEFAULT_MODEL, help="A bundled model's name, or a model's folder.", short="-m", group="Model")
    segmenter: str | None = option(
        None,
        help="none, threshold, watershed or unet, where the model's card allows it; default: the card's.",
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
    overwrite: bool = option(False, help="Replace an output that was made with other options.", group="Output")
    strict: bool = option(False, help="Stop at the first file that fails.", group="Run")
    dry_run: bool = option(False, help="Say what would be done, and do nothing.", group="Run")
