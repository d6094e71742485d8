"""Resolve where and how networks run: device, precision, batch size and workers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from cancernet_cli.core.cards import Card
from cancernet_cli.core.errors import DeviceError, OptionError
from cancernet_cli.core.machine.devices import check_device
from cancernet_cli.core.machine.system import available_cores
from cancernet_cli.core.options import LoaderOptions
from cancernet_cli.inference.advice import advice_for
from cancernet_cli.segmentation.base import openvino_segmenters, segmenters

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CPU_BATCH = 8
GPU_BATCH = 64


@dataclass(frozen=True)
class Runtime:
    """The device, precision, batch size and number of workers of a run, and the library that runs the networks."""

    device: torch.device
    precision: str
    batch_size: int
    workers: int
    library: Literal["torch", "openvino"] = "torch"

    @property
    def device_name(self) -> str:
        """Name of the device, for run records."""
        if self.device.type == "cuda":
            return f"{self.device} ({torch.cuda.get_device_name(self.device)})"
        if self.library == "openvino":
            return f"cpu (OpenVINO, {available_cores()} threads)"
        return f"cpu ({torch.get_num_threads()} threads)" if self.device.type == "cpu" else str(self.device)

    @property
    def settings(self) -> dict[str, Any]:
        """The resolved settings, for run records."""
        return {
            "device": self.device_name,
            "runtime": self.library,
            "precision": self.precision,
            "batch_size": self.batch_size,
            "workers": self.workers,
        }

    def out_of_memory(self) -> DeviceError:
        """The error to raise when not even one view fits into device memory."""
        return DeviceError(
            f"{self.device_name} has too little memory for one view",
            fix="use --device cpu or a model with smaller views",
        )


def resolve(options: LoaderOptions, card: Card | None = None) -> Runtime:
    """Resolve the runtime options; `auto` uses what `cancernet bench` found best for the card's model on this machine.

    Raises:
        DeviceError: the device does not exist or does not support the precision.
    """
    device, cores = _device(options.device), available_cores()
    advice = advice_for(options, card, device, cores)
    precision: str = options.precision
    if precision == "auto":
        precision = advice.precision or ("fp16" if device.type == "cuda" else "fp32")
    if precision == "fp16" and device.type == "cpu":
        raise DeviceError("fp16 is not supported on CPU", fix="use --precision fp32 or bf16, or a GPU")
    auto_batch = advice.batch_size or (CPU_BATCH if device.type == "cpu" else GPU_BATCH)
    batch_size = options.batch_size if isinstance(options.batch_size, int) else auto_batch
    # The networks need cores on a CPU as well, so half of them decode.
    auto_workers = max(1, cores // 2) if device.type == "cpu" else cores
    auto_workers = auto_workers if advice.workers is None else advice.workers
    workers = options.workers if isinstance(options.workers, int) else auto_workers
    return Runtime(device, precision, batch_size, workers)


def with_library(runtime: Runtime, wanted: str, card: Card) -> Runtime:
    """Choose the library for the card's networks: OpenVINO on a CPU if it can run the segmenter, else PyTorch.

    Raises:
        OptionError: the requested library cannot run this model on this device or in this precision.
    """
    segmenter = card.segmentation.segmenter
    fits = runtime.device.type == "cpu" and bool(segmenters[segmenter].facts.get("openvino"))
    if wanted == "openvino" and not fits:
        where = f"segmenter {segmenter!r}" if runtime.device.type == "cpu" else f"device {runtime.device}"
        raise OptionError(
            f"--runtime openvino does not go with {where}",
            fix=f"use --runtime torch, or the CPU and one of these segmenters: {', '.join(openvino_segmenters())}",
        )
    library: Literal["torch", "openvino"] = "openvino" if fits and wanted != "torch" else "torch"
    if runtime.precision == "int8" and library == "torch":
        raise OptionError(
            "--precision int8 is for OpenVINO on a CPU",
            fix=f"use another --precision, or --device cpu with one of: {', '.join(openvino_segmenters())}",
        )
    return replace(runtime, library=library)


def _device(name: str) -> torch.device:
    check_device(name)
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if count and (device.index or 0) >= count:
            raise DeviceError(f"no CUDA device {device.index}: PyTorch finds {count}", fix=f"use 0 to {count - 1}")
        if not count:
            raise DeviceError(
                f"no CUDA device found: the driver finds one, but PyTorch {torch.__version__} does not",
                fix="install a PyTorch build that goes with the driver (see nvidia-smi), or use --device cpu",
            )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("no Apple GPU (mps) found", fix="use --device auto or cpu")
    return device
