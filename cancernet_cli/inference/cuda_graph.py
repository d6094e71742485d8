"""A function of views as a CUDA graph, with the memory and the streams that feed it and bring its answers back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

SLOTS = 2  # batches on the device at once: one computed, one on its way there
WARM_UPS = 2  # passes before the capture: kernels are chosen and loaded in them, which a capture does not allow

Step = Callable[[Tensor], tuple[Tensor, ...]]


def _stream() -> torch.cuda.Stream:
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


def _event(*, blocking: bool = False) -> torch.cuda.Event:
    return torch.cuda.Event(blocking=blocking)  # type: ignore[no-untyped-call]


@dataclass
class _Slot:
    """Where a batch arrives; `sent` when it is there, `taken` when it may be overwritten."""

    views: Tensor
    sent: torch.cuda.Event = field(default_factory=_event)
    taken: torch.cuda.Event = field(default_factory=_event)


class Captured:
    """A function of `[B, h, w, 3]` uint8 views captured once and replayed for every batch.

    All memory of the device is taken when it is made; after that no call allocates there, and none but the one that
    `launch` gives waits for the device. To be used by one thread.

    Args:
        step: views on the device to tensors whose first dimension is B; does not wait for the device.
        shape: of the views, `(B, h, w, 3)`.

    Raises:
        torch.OutOfMemoryError: a batch does not fit.
    """

    def __init__(self, step: Step, shape: tuple[int, int, int, int], device: torch.device) -> None:
        with torch.cuda.device(device), torch.no_grad():
            self._copying, self._computing = _stream(), _stream()
            # Streams run apart from one another: the zeros have to be there before either stream reads them.
            self._slots = [_Slot(torch.zeros(shape, dtype=torch.uint8, device=device)) for _ in range(SLOTS)]
            self._views = torch.zeros(shape, dtype=torch.uint8, device=device)
            torch.cuda.synchronize()
            with torch.cuda.stream(self._computing):
                for _ in range(WARM_UPS):
                    step(self._views)
            self._graph = torch.cuda.CUDAGraph()
            # Of this thread alone: the loader's pins memory meanwhile, which a capture of all threads does not bear.
            with torch.cuda.graph(self._graph, stream=self._computing, capture_error_mode="thread_local"):
                self._outputs = step(self._views)
            torch.cuda.synchronize()
        self._next = 0

    def put(self, views: Tensor, at: int) -> None:
        """Send views into the rows from `at` of the batch that is launched next; pinned memory is copied meanwhile.

        Args:
            views: `[n, h, w, 3]` uint8 on the CPU.
        """
        slot = self._slots[self._next]
        with torch.cuda.stream(self._copying):
            if at == 0:
                self._copying.wait_event(slot.taken)
            slot.views[at : at + len(views)].copy_(views, non_blocking=True)

    def launch(self, rows: int) -> Callable[[], list[Tensor]]:
        """Compute the batch that was put, of which the first `rows` rows count; the others hold whatever was there.

        Returns:
            What waits, and gives the outputs' first `rows` rows in pinned memory of their own.
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
            answer = [_to_host(output[:rows]) for output in self._outputs]
            done = _event(blocking=True)  # sleeps: a thread that spins takes a core from the decoders
            done.record(self._computing)

        def wait() -> list[Tensor]:
            done.synchronize()  # the one wait of the loop
            return answer

        return wait


def _to_host(output: Tensor) -> Tensor:
    # PyTorch keeps pinned memory for the next batch once an answer has been dropped.
    there = torch.empty(output.shape, dtype=output.dtype, pin_memory=True)
    return there.copy_(output, non_blocking=True)
