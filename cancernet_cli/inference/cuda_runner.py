"""A pipeline run on a CUDA GPU: compiled, captured as a graph, fed and answered while it computes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cancernet_cli.core.errors import DeviceError
from cancernet_cli.core.events import Note, Reporter, Warn, silent
from cancernet_cli.inference.cuda_graph import Captured, Step
from cancernet_cli.inference.pipeline import Pipeline
from cancernet_cli.inference.reduced_precision import lowered
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.inference.runtime import PRECISIONS, Runtime

COMPILED = "default"  # torch.compile's mode; "max-autotune-no-cudagraphs" searches longer. The graph is captured here.
# Compiling takes a minute or so, which a short run never earns back. To be set by what benchmarks/gpu.py measures.
WORTH_COMPILING = 20_000


@dataclass
class _Pass:
    """One pass through the networks: the rows that have got on, and once it has left, what waits for its outputs."""

    rows: int = 0
    landed: Callable[[], list[Tensor]] | None = None


class CudaRunner:
    """Runs a pipeline in passes of one fixed size, each a replay of one graph.

    Views of successive batches share a pass, so that passes are full whatever the batches hold; a pass leaves when it
    is full or when somebody waits for one of its views. Where a pass does not fit into the device's memory, passes are
    halved until one does; afterwards no memory is taken, so none can lack.

    Args:
        pipeline: in eval mode on the CPU; its segmenter works on the device alone.
        view_px: height and width of every view.
        want_mask: also bring the masks back.
        mode: torch.compile's; None runs PyTorch's own kernels, which spares the compiling.
        report: is told when passes were halved, and when the networks cannot be compiled.

    Raises:
        DeviceError: not even one view fits into the device's memory.
    """

    in_flight = 3  # batches that may be under way before the first is waited for

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
        ready = lowered(pipeline, PRECISIONS[runtime.precision]).to(runtime.device)
        with exact_convolutions():
            self._captured = self._capture(step_of(ready, want_mask=want_mask), view_px, mode, report)
        self._boarding = _Pass()

    def start(self, pixels: Tensor) -> Callable[[], Outputs]:
        """Send `[V, h, w, 3]` uint8 views on their way; calling what comes back waits for the answer.

        Waits itself for nothing where the views are in pinned memory.
        """
        parts: list[tuple[_Pass, slice]] = []
        sent = 0
        while sent < len(pixels):
            boarding = self._boarding
            views = pixels[sent : sent + self.batch_size - boarding.rows]
            self._captured.put(views, boarding.rows)
            parts.append((boarding, slice(boarding.rows, boarding.rows + len(views))))
            boarding.rows += len(views)
            sent += len(views)
            if boarding.rows == self.batch_size:
                self._depart()

        def wait() -> Outputs:
            if not parts:  # every file of the batch had failed
                return Outputs(np.empty((0, 0), np.float32), np.empty(0, np.float32), None)
            if parts[-1][0] is self._boarding:
                self._depart()
            found = [[output[rows].numpy() for output in _outputs(one)] for one, rows in parts]
            columns = found[0] if len(found) == 1 else [np.concatenate(c) for c in zip(*found, strict=True)]
            return Outputs(columns[0], columns[1], columns[2] if self.want_mask else None)

        return wait

    def _depart(self) -> None:
        self._boarding.landed = self._captured.launch(self._boarding.rows)
        self._boarding = _Pass()

    def _capture(self, step: Step, view_px: tuple[int, int], mode: str | None, report: Reporter) -> Captured:
        """The step captured for passes of `batch_size` views, which is halved until one fits."""
        wanted = self.batch_size
        while True:
            shape = (self.batch_size, *view_px, 3)
            try:
                made = Captured(_tried(step, shape, self.runtime.device, mode, report), shape, self.runtime.device)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if self.batch_size == 1:
                    raise DeviceError(
                        f"{self.runtime.device_name} has too little memory for one view",
                        fix="use --device cpu, or a model with smaller views",
                    ) from None
            else:
                break
            # Only here, behind the handler: the error holds what was computed so far.
            torch.cuda.empty_cache()
            self.batch_size //= 2
        if self.batch_size < wanted:
            report(Note(f"{wanted} views at a time do not fit into the device's memory; {self.batch_size} are taken"))
        return made


def step_of(pipeline: Pipeline, *, want_mask: bool = False) -> Step:
    """A pipeline as a function of views: logits `[B, K]`, mask fractions `[B]` and, if wanted, masks `[B, h, w]`."""

    def step(views: Tensor) -> tuple[Tensor, ...]:
        found = pipeline(views)
        answer = (found.logits.float(), found.mask_fraction.float())
        return (*answer, found.mask[:, 0].float().contiguous()) if want_mask else answer

    return step


def exact_convolutions() -> AbstractContextManager[None]:
    """In the block, convolutions of float32 are computed in float32, where cuDNN would round to TensorFloat-32.

    What is captured in the block stays so.
    """
    cudnn = torch.backends.cudnn
    return cudnn.flags(enabled=True, benchmark=cudnn.benchmark, allow_tf32=False)


def compiled(step: Step, views: Tensor, mode: str, report: Reporter) -> Step:
    """The step compiled by PyTorch for these views' shape; the step itself, with a warning, where that fails.

    Raises:
        torch.OutOfMemoryError: the views do not fit.
    """
    made: Any = torch.compile(step, mode=mode, fullgraph=True, dynamic=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice to whoever writes networks
            made(views)
    except Exception as error:  # a compiler, a linker, a driver, another Python: they share no class of errors
        if is_out_of_memory(error):
            raise
        words = " ".join(str(error).split())[:200] or "no reason given"
        report(Warn(f"PyTorch cannot compile the networks here, they run uncompiled: {type(error).__name__}: {words}"))
        return step
    found: Step = made
    return found


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that led to it, says that the device's memory is full.

    Leaving a capture or a compiler raises errors of its own above the one that says why.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, torch.OutOfMemoryError):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return False


def _tried(
    step: Step, shape: tuple[int, int, int, int], device: torch.device, mode: str | None, report: Reporter
) -> Step:
    """The step, compiled if wanted, after one pass: memory that lacks shows before anything is compiled."""
    with torch.no_grad():
        views = torch.zeros(shape, dtype=torch.uint8, device=device)
        step(views)
        return compiled(step, views, mode, report) if mode else step


def _outputs(one: _Pass) -> list[Tensor]:
    assert one.landed is not None, "a pass leaves before its views are waited for"
    return one.landed()
