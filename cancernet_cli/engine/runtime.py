"""Where and how the networks run: device, precision, memory layout, batch size. Nothing else sets these."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from cancernet_cli.core.errors import DeviceError
from cancernet_cli.core.options import LoaderOptions

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CPU_BATCH = 8
GPU_BATCH = 64
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


@dataclass(frozen=True)
class Runtime:
    """A device with its precision, batch size and count of workers, all resolved."""

    device: torch.device
    precision: str
    batch_size: int
    workers: int

    @property
    def device_name(self) -> str:
        """The device in words, for run records."""
        if self.device.type == "cuda":
            return f"{self.device} ({torch.cuda.get_device_name(self.device)})"
        return f"cpu ({torch.get_num_threads()} threads)" if self.device.type == "cpu" else str(self.device)


def resolve(options: LoaderOptions) -> Runtime:
    """The runtime that the options ask for.

    Raises:
        DeviceError: the device is not there, or cannot compute in that precision.
    """
    device = _device(options.device)
    precision = options.precision
    if precision == "auto":
        precision = "fp16" if device.type == "cuda" else "fp32"
    if precision == "fp16" and device.type == "cpu":
        raise DeviceError("fp16 is not for CPUs", fix="use --precision fp32 or bf16, or a GPU")
    auto_batch = CPU_BATCH if device.type == "cpu" else GPU_BATCH
    batch_size = options.batch_size if isinstance(options.batch_size, int) else auto_batch
    workers = options.workers if isinstance(options.workers, int) else _auto_workers(device)
    return Runtime(device, precision, batch_size, workers)


def _auto_workers(device: torch.device) -> int:
    """On a CPU the networks' own threads need the cores, so a worker for every two; a GPU wants all to decode."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // 2) if device.type == "cpu" else cores


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"{name!r} is not a device", fix="use auto, cpu, cuda, cuda:N or mps")
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            found = f"{count} CUDA device(s)" if count else "no CUDA device"
            raise DeviceError(f"{name} is not there: PyTorch finds {found}", fix="use --device auto or cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("mps is not there: it needs an Apple GPU", fix="use --device auto or cpu")
    return device


def keep_freed_memory(device: torch.device) -> None:
    """Let this process keep the memory that a CPU network's layers free, instead of handing it back to the system.

    glibc maps every block over 32 MB anew, and the system clears each of its pages: a third of the time of a U-Net and
    EfficientNet-Lite0 on two cores, measured. Elsewhere (musl, macOS, Windows, a GPU) nothing is done.
    """
    if device.type != "cpu" or not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def give_memory_back() -> None:
    """End what `keep_freed_memory` began, once the networks are done: what comes next needs other sizes of blocks."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # glibc; musl has neither
        libc.mallopt(_M_MMAP_MAX, 65536)
        libc.mallopt(_M_TRIM_THRESHOLD, 128 * 1024)
        libc.malloc_trim(0)


@dataclass(frozen=True)
class Answer:
    """What the networks say of V views, float32: logits `[V, K]`, mask fraction `[V]`, mask `[V, h, w]` if wanted."""

    logits: np.ndarray
    mask_fraction: np.ndarray
    mask: np.ndarray | None


class Runner:
    """Runs a pipeline (`engine.pipeline`) over views on its device.

    Args:
        want_mask: also bring the masks back.
    """

    def __init__(self, pipeline: nn.Module, runtime: Runtime, *, want_mask: bool = False) -> None:
        self.runtime = runtime
        self.want_mask = want_mask
        self.batch_size = runtime.batch_size
        keep_freed_memory(runtime.device)
        self._pipeline = pipeline.eval().to(runtime.device).to(memory_format=torch.channels_last)

    def start(self, pixels: torch.Tensor) -> Callable[[], Answer]:
        """Send `[V, h, w, 3]` uint8 views on their way; calling what comes back waits for the answer.

        Raises:
            DeviceError: not even one view fits into the device's memory.
        """
        outputs = [o for chunk in torch.split(pixels, self.batch_size) if len(chunk) for o in self._forward(chunk)]

        def wait() -> Answer:
            if not outputs:  # every file of the batch had failed
                return Answer(np.empty((0, 0), np.float32), np.empty(0, np.float32), None)
            columns: list[Any] = list(zip(*outputs, strict=True))
            logits, fraction = (torch.cat([t.cpu() for t in column]).numpy() for column in columns[:2])
            mask = torch.cat([t.cpu() for t in columns[2]]).numpy() if self.want_mask else None
            return Answer(logits, fraction, mask)

        return wait

    def _forward(self, pixels: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
        device, dtype = self.runtime.device, PRECISIONS[self.runtime.precision]
        # Kernels for a single row round differently than those for two or more; a second row keeps an image's
        # probabilities the same to the bit whatever batch it travels in.
        rows = len(pixels)
        padded = torch.cat([pixels, pixels]) if rows == 1 else pixels
        try:
            with torch.inference_mode(), torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                found = self._pipeline(padded.to(device, non_blocking=True))
                answer = [found.logits[:rows].float(), found.mask_fraction[:rows].float()]
                if self.want_mask:
                    answer.append(found.mask[:rows, 0].float())
                return [tuple(answer)]
        except torch.OutOfMemoryError:
            if rows == 1:
                raise DeviceError(
                    f"{self.runtime.device_name} has too little memory for one view",
                    fix="use --device cpu, or a model with smaller views",
                ) from None
        torch.cuda.empty_cache()
        self.batch_size = max(1, rows // 2)
        return [o for chunk in torch.split(pixels, self.batch_size) for o in self._forward(chunk)]
