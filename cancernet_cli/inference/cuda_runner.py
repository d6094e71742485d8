"""Run a pipeline on a CUDA GPU: compiled, captured as a CUDA graph, copying while it computes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cancernet_cli.core.events import Note, Reporter, Warn, silent
from cancernet_cli.inference.cuda_graph import CudaGraph, Forward
from cancernet_cli.inference.pipeline import Pipeline
from cancernet_cli.inference.reduced_precision import reduce_precision
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.inference.runtime import PRECISIONS, Runtime

COMPILED = "default"  # torch.compile's mode; "max-autotune-no-cudagraphs" searches longer. The graph is captured here.
# Compiling takes 3 to 30 s. On an H200 it pays off from 55,000 (VGG-16) to 500,000 files (DenseNet-121), and only where
# the networks, not decoding, limit the run (benchmarks/gpu.py).
WORTH_COMPILING = 200_000


@dataclass
class _Pass:
    """One pass through the networks: the rows filled so far and, once launched, the function that waits for it."""

    rows: int = 0
    outputs: Callable[[], list[Tensor]] | None = None


class CudaRunner:
    """Runs a pipeline in passes of one fixed size, each a replay of one CUDA graph.

    Views of successive batches share a pass, so that passes are full whatever the batch sizes; a pass is launched when
    it is full or when one of its views is waited for. The pass size is halved until a pass fits into device memory;
    nothing is allocated afterwards, so a run that has started cannot run out of memory.

    Args:
        pipeline: in eval mode on the CPU; its segmenter must not use the CPU.
        view_px: height and width of every view.
        want_mask: return the masks as well.
        mode: of `torch.compile`; None runs PyTorch's own kernels and saves the time for compiling.
        report: receives a note if the pass size was halved, and a warning if the networks cannot be compiled.

    Raises:
        DeviceError: not even one view fits into device memory.
    """

    in_flight = 3

    def __init__(
        self,
        pipeline: Pipeline,
        runtime: Runtime,
        view_px: tuple[int, int],
        *,
        want_mask: bool = False,
        mode: str | None = COMPILED,
        report: Reporter = silent,
    ) -> None:
        self.runtime = runtime
        self.want_mask = want_mask
        self.batch_size = runtime.batch_size
        ready = reduce_precision(pipeline, PRECISIONS[runtime.precision]).to(runtime.device)
        cudnn = torch.backends.cudnn
        # The graph keeps this setting: float32 convolutions in float32, where cuDNN would round to TensorFloat-32.
        with cudnn.flags(enabled=True, benchmark=cudnn.benchmark, allow_tf32=False):
            self._graph = self._capture(forward_of(ready, want_mask=want_mask), view_px, mode, report)
        self._filling = _Pass()

    def start(self, pixels: Tensor) -> Callable[[], Outputs]:
        """See `Runner`; does not wait for the device if the views are in pinned memory."""
        parts: list[tuple[_Pass, slice]] = []
        sent = 0
        while sent < len(pixels):
            filling = self._filling
            views = pixels[sent : sent + self.batch_size - filling.rows]
            self._graph.put(views, filling.rows)
            parts.append((filling, slice(filling.rows, filling.rows + len(views))))
            filling.rows += len(views)
            sent += len(views)
            if filling.rows == self.batch_size:
                self._launch()

        def wait() -> Outputs:
            if not parts:
                return Outputs.empty()
            if parts[-1][0] is self._filling:
                self._launch()
            found = [[output[rows].numpy() for output in _wait_for(one)] for one, rows in parts]
            columns = found[0] if len(found) == 1 else [np.concatenate(c) for c in zip(*found, strict=True)]
            return Outputs(columns[0], columns[1], columns[3] if self.want_mask else None, columns[2])

        return wait

    def _launch(self) -> None:
        self._filling.outputs = self._graph.launch(self._filling.rows)
        self._filling = _Pass()

    def _capture(self, forward: Forward, view_px: tuple[int, int], mode: str | None, report: Reporter) -> CudaGraph:
        """Capture passes of `batch_size` views, halving `batch_size` until one fits."""
        wanted = self.batch_size
        device = self.runtime.device
        while True:
            shape = (self.batch_size, *view_px, 3)
            try:
                graph = CudaGraph(_tried(forward, shape, device, mode, report), shape, device)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if self.batch_size == 1:
                    raise self.runtime.out_of_memory() from None
            else:
                break
            # After the handler, since the error keeps the tensors computed so far alive.
            torch.cuda.empty_cache()
            self.batch_size //= 2
        if self.batch_size < wanted:
            too_large = f"a batch of {wanted} views does not fit into device memory"
            report(Note(f"{too_large}; using batches of {self.batch_size}"))
        return graph


def forward_of(pipeline: Pipeline, *, want_mask: bool = False) -> Forward:
    """The pipeline as a function of views.

    Returns logits `[B, K]`, mask fractions `[B]`, novelty `[B]` and, if wanted, masks `[B, H, W]`.
    """

    def forward(views: Tensor) -> tuple[Tensor, ...]:
        found = pipeline(views)
        outputs = (found.logits.float(), found.mask_fraction.float(), found.novelty.float())
        return (*outputs, found.mask[:, 0].float().contiguous()) if want_mask else outputs

    return forward


def compiled(forward: Forward, views: Tensor, mode: str, report: Reporter) -> Forward:
    """The function compiled by PyTorch for views of this shape; if that fails, the function itself with a warning.

    Raises:
        torch.OutOfMemoryError: the views do not fit into device memory.
    """
    found: Any = torch.compile(forward, mode=mode, fullgraph=True, dynamic=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are meant for authors of networks
            found(views)
    except Exception as error:  # compilers, linkers, drivers and Python versions fail without a common class of error
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:200] or "no reason given"
        report(Warn(f"PyTorch cannot compile the networks here; running uncompiled: {type(error).__name__}: {reason}"))
        return forward
    done: Forward = found
    return done


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that caused it, is an out-of-memory error of the device.

    Leaving a capture or a compiler raises further errors on top of the original one.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, torch.OutOfMemoryError):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return False


def _tried(
    forward: Forward, shape: tuple[int, int, int, int], device: torch.device, mode: str | None, report: Reporter
) -> Forward:
    """The function, compiled if wanted, after one pass: a shortage of memory shows before anything is compiled."""
    with torch.no_grad():
        views = torch.zeros(shape, dtype=torch.uint8, device=device)
        forward(views)
        return compiled(forward, views, mode, report) if mode else forward


def _wait_for(one: _Pass) -> list[Tensor]:
    assert one.outputs is not None, "a pass is launched before its views are waited for"
    return one.outputs()
