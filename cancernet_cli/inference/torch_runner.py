"""A pipeline run by PyTorch as it comes: the reference, on any device; `inference.cuda_runner` is what GPUs get."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from cancernet_cli.core.errors import DeviceError
from cancernet_cli.inference.malloc import keep_freed_memory
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.inference.runtime import PRECISIONS, Runtime


class TorchRunner:
    """Runs a pipeline (`inference.pipeline`) over views on its device.

    Args:
        want_mask: also bring the masks back.
    """

    in_flight = 1

    def __init__(self, pipeline: nn.Module, runtime: Runtime, *, want_mask: bool = False) -> None:
        self.runtime = runtime
        self.want_mask = want_mask
        self.batch_size = runtime.batch_size
        keep_freed_memory(runtime.device)
        self._pipeline = pipeline.eval().to(runtime.device).to(memory_format=torch.channels_last)

    def start(self, pixels: torch.Tensor) -> Callable[[], Outputs]:
        """Send `[V, h, w, 3]` uint8 views on their way; calling what comes back waits for the answer.

        Raises:
            DeviceError: not even one view fits into the device's memory.
        """
        outputs = [o for chunk in torch.split(pixels, self.batch_size) if len(chunk) for o in self._forward(chunk)]

        def wait() -> Outputs:
            if not outputs:  # every file of the batch had failed
                return Outputs(np.empty((0, 0), np.float32), np.empty(0, np.float32), None)
            columns: list[Any] = list(zip(*outputs, strict=True))
            logits, fraction = (torch.cat([t.cpu() for t in column]).numpy() for column in columns[:2])
            mask = torch.cat([t.cpu() for t in columns[2]]).numpy() if self.want_mask else None
            return Outputs(logits, fraction, mask)

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
