"""Options of the commands that read images and run networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cancernet_cli.core.models import DEFAULT_MODEL
from cancernet_cli.core.options.base import Auto, Options, option
from cancernet_cli.core.options.shared.patient_pattern import compiled_pattern, patient_pattern_option
from cancernet_cli.core.registry import SEGMENTERS, entry_names

Precision = Literal["auto", "fp32", "bf16", "fp16"]
InferencePrecision = Literal["auto", "fp32", "bf16", "fp16", "int8"]


@dataclass(frozen=True, kw_only=True)
class FileOptions(Options):
    """Options of the commands that open images or slides."""

    file_timeout: float = option(
        60.0,
        help="Seconds after which an image is given up; a slide may take five times as long for its plan and for each "
        "few of its tiles.",
        min=0.01,
        group="Input",
    )


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
        help="Worker processes that read and decode; 0: one that does not read ahead.",
        min=0,
        max=256,
        group="Machine",
    )


@dataclass(frozen=True, kw_only=True)
class LoaderOptions(DeviceOptions, FileOptions):
    """Options of the commands that read images and run networks."""

    max_megapixels: float = option(
        100.0, help="Largest image to read, in megapixels.", min=0.001, group="Input", changes_result=True
    )
    labels: str = option(
        "auto",
        help="Source of true labels: auto, none, folders, breakhis, or a CSV or Parquet file with "
        "path,label[,patient].",
        group="Input",
        changes_result=True,
    )
    patient_pattern: str = patient_pattern_option(changes_result=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patient_pattern:
            compiled_pattern(self.patient_pattern)

    @property
    def max_pixels(self) -> int:
        """`max_megapixels` in pixels."""
        return round(self.max_megapixels * 1e6)


@dataclass(frozen=True, kw_only=True)
class InferenceOptions(DeviceOptions):
    """Model, segmenter, precision, runtime and decoding; `bench` forwards every option declared here to `classify`."""

    model: str = option(
        DEFAULT_MODEL, help="Name of a bundled model, or path of a model folder.", short="-m", group="Model"
    )
    segmenter: str | None = option(
        None,
        help=f"Segmenter, if the model card allows it: {', '.join(entry_names(SEGMENTERS))}; default: the card's.",
        group="Model",
        changes_result=True,
    )
    precision: InferencePrecision = option(  # type: ignore[assignment]  # int8 cannot train
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
