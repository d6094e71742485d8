"""A CUDA graph of the networks, with its input buffers and streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

SLOTS = 2  # input buffers on the device: one being computed, one being filled
WARM_UPS = 2  # passes before the capture: they select and load kernels, which is not allowed during a capture

Forward = Callable[[Tensor], tuple[Tensor, ...]]


def _stream() -> torch.cuda.Stream:
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


def _event(*, blocking: bool = False) -> torch.cuda.Event:
    return torch.cuda.Event(blocking=blocking)  # type: ignore[no-untyped-call]


@dataclass
class _Slot:
    """An input buffer; `sent` once the batch has arrived, `taken` once it may be overwritten."""

    views: Tensor
    sent: torch.cuda.Event = field(default_factory=_event)
    taken: torch.cuda.Event = field(default_factory=_event)


class CudaGraph:
    """A function of `[B, H, W, 3]` uint8 views, captured once and replayed for every batch.

    All device memory is allocated by the constructor; later calls allocate none, and only the function that `launch`
    returns waits for the device. Not thread-safe.

    Args:
        forward: maps views on the device to tensors whose first dimension is B, without waiting for the device.
        shape: of the views, `(B, H, W, 3)`.

    Raises:
        torch.OutOfMemoryError: a batch does not fit into device memory.
    """

    def __init__(self, forward: Forward, shape: tuple[int, int, int, int], device: torch.device) -> None:
        with torch.cuda.device(device), torch.no_grad():
            self._copying, self._computing = _stream(), _stream()
            # Streams are not ordered among themselves: the zeros must be written before either stream reads them.
            self._slots = [_Slot(torch.zeros(shape, dtype=torch.uint8, device=device)) for _ in range(SLOTS)]
            self._views = torch.zeros(shape, dtype=torch.uint8, device=device)
            torch.cuda.synchronize()
            with torch.cuda.stream(self._computing):
                for _ in range(WARM_UPS):
                    forward(self._views)
            self._graph = torch.cuda.CUDAGraph()
            # Only this thread: the loader's thread pins memory meanwhile, which a global capture would not tolerate.
            with torch.cuda.graph(self._graph, stream=self._computing, capture_error_mode="thread_local"):
                self._outputs = forward(self._views)
            torch.cuda.synchronize()
        self._next = 0

    def put(self, views: Tensor, at: int) -> None:
        """Copy views into rows `at` onwards of the batch to be launched next; asynchronous from pinned memory.

        Args:
            views: `[n, H, W, 3]` uint8 on the CPU.
        """
        slot = self._slots[self._next]
        with torch.cuda.stream(self._copying):
            if at == 0:
                self._copying.wait_event(slot.taken)
            slot.views[at : at + len(views)].copy_(views, non_blocking=True)

    def launch(self, rows: int) -> Callable[[], list[Tensor]]:
        """Compute the first `rows` rows of the batch that was put; the others hold stale data.

        Returns:
            A function that waits for the outputs and returns their first `rows` rows, each in pinned memory.
        """
        slot = self._slots[self._next]
        self._next = (self._next + 1) % len(self._slots)
        slot.sent.record(self._copying)
        with torch.no_grad(), torch.cuda.stream(self._computing):
            self._computing.wait_event(slot.sent)
            self._views.copy_(slot.views)
            slot.taken.record(self._computing)
            self._graph.replay()
            # On the same stream, so that the next replay cannot overwrite what is still being copied.
            outputs = [_to_host(output[:rows]) for output in self._outputs]
            done = _event(blocking=True)  # sleeps: a spinning thread would take a core from the decoders
            done.record(self._computing)

        def wait() -> list[Tensor]:
            done.synchronize()  # the one wait of the loop
            return outputs

        return wait


def _to_host(output: Tensor) -> Tensor:
    # PyTorch caches pinned memory and reuses it once earlier outputs have been dropped.
    host = torch.empty(output.shape, dtype=output.dtype, pin_memory=True)
    return host.copy_(output, non_blocking=True)
