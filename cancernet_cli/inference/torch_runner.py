"""Run a pipeline by eager PyTorch on any device; the reference for the other runners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cancernet_cli.inference.malloc import keep_freed_memory
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.inference.runtime import PRECISIONS, Runtime


class TorchRunner:
    """Runs a pipeline (`inference.pipeline`) on its device.

    Args:
        want_mask: return the masks as well.
    """

    in_flight = 1

    def __init__(self, pipeline: nn.Module, runtime: Runtime, *, want_mask: bool = False) -> None:
        self.runtime = runtime
        self.want_mask = want_mask
        self.batch_size = runtime.batch_size
        keep_freed_memory(runtime.device)
        self._pipeline = pipeline.eval().to(runtime.device).to(memory_format=torch.channels_last)

    def start(self, pixels: Tensor) -> Callable[[], Outputs]:
        """See `Runner`; raises DeviceError if not even one view fits into device memory."""
        chunks = [o for chunk in torch.split(pixels, self.batch_size) if len(chunk) for o in self._forward(chunk)]

        def wait() -> Outputs:
            if not chunks:
                return Outputs.empty()
            columns: list[Any] = list(zip(*chunks, strict=True))
            logits, fraction, novelty, *rest = (torch.cat([t.cpu() for t in column]).numpy() for column in columns)
            return Outputs(logits, fraction, rest[0] if rest else None, novelty)

        return wait

    def _forward(self, pixels: Tensor) -> list[tuple[Tensor, ...]]:
        device, dtype = self.runtime.device, PRECISIONS[self.runtime.precision]
        # Kernels for a single row round differently from those for two or more. Adding a second row keeps an image's
        # probabilities bit-identical whatever the batch.
        rows = len(pixels)
        padded = torch.cat([pixels, pixels]) if rows == 1 else pixels
        try:
            with torch.inference_mode(), torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                found = self._pipeline(padded.to(device, non_blocking=True))
                outputs = [one[:rows].float() for one in (found.logits, found.mask_fraction, found.novelty)]
                if self.want_mask:
                    outputs.append(found.mask[:rows, 0].float())
                return [tuple(outputs)]
        except torch.OutOfMemoryError:
            if rows == 1:
                raise self.runtime.out_of_memory() from None
        torch.cuda.empty_cache()
        self.batch_size = max(1, rows // 2)
        return [o for chunk in torch.split(pixels, self.batch_size) for o in self._forward(chunk)]
