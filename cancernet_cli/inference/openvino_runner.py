"""Run a pipeline by OpenVINO on a CPU: one view per request, one request per stream at a time."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from torch import Tensor

from cancernet_cli.core.errors import DeviceError
from cancernet_cli.core.machine.system import available_cores
from cancernet_cli.inference.openvino_import import ov
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.inference.runtime import Runtime

HINTS = {"fp32": "f32", "int8": "f32", "bf16": "bf16"}  # layers of an int8 network that are not quantised stay fp32
CHECK_EVERY_S = 1.0


class OpenVINORunner:
    """Runs a converted pipeline (`inference.openvino_model`).

    Every view is a separate request of one fixed shape: its outputs are bit-identical whatever the batch, nothing is
    padded, and on a CPU one image per core is at least as fast as batches.

    Args:
        want_mask: return the masks as well.
    """

    in_flight = 1

    def __init__(self, model: ov.Model, runtime: Runtime, *, want_mask: bool = False) -> None:
        self.runtime = runtime
        self.want_mask = want_mask
        # If the mask is not an output, layers that only serve its full size are not computed.
        logits, fraction, mask, *novelty = model.outputs
        self._has_novelty = bool(novelty)  # an int8 network made by an earlier version has none
        wanted = [logits, fraction, *novelty, *([mask] if want_mask else [])]
        streams = available_cores()
        core = ov.Core()
        if runtime.precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise DeviceError("this CPU does not support bf16", fix="use --precision fp32")
        compiled = core.compile_model(
            ov.Model([output.node for output in wanted], model.get_parameters()),
            "CPU",
            {
                "PERFORMANCE_HINT": "THROUGHPUT",
                "INFERENCE_PRECISION_HINT": HINTS[runtime.precision],
                "INFERENCE_NUM_THREADS": streams,
                "NUM_STREAMS": streams,
                "ENABLE_CPU_PINNING": False,  # the workers that decode need the same cores
            },
        )
        self._classes = int(compiled.output(0).shape[1])
        self._queue = ov.AsyncInferQueue(compiled, streams)
        self._queue.set_callback(lambda request, where: where[0].put(where[1], request))
        # A request that ends while the interpreter shuts down, after an error elsewhere, would abort the process.
        weakref.finalize(self, _wait_for_all, self._queue)

    def start(self, pixels: Tensor) -> Callable[[], Outputs]:
        """See `Runner`; waits until a stream is free for the last view."""
        views = pixels.numpy()
        pending = _Pending(views, self._classes, self.want_mask, self._has_novelty)
        for row in range(len(views)):
            self._queue.start_async({0: views[row : row + 1]}, (pending, row), share_inputs=True)

        def wait() -> Outputs:
            while not pending.done.wait(CHECK_EVERY_S):
                if self._queue.is_ready():  # nothing is running and outputs are missing: a request failed
                    self._queue.wait_all()
            return Outputs(pending.logits, pending.mask_fraction, pending.mask, pending.novelty)

        return wait


def _wait_for_all(queue: Any) -> None:
    with suppress(RuntimeError):  # of a request that failed: too late to report
        queue.wait_all()


class _Pending:
    """The outputs of V views, one row each, filled as requests finish; `done` once all are complete."""

    def __init__(self, views: np.ndarray, classes: int, want_mask: bool, has_novelty: bool) -> None:
        count, height, width = views.shape[:3]
        self.views = views  # keeps the memory alive while requests read from it
        self.logits = np.empty((count, classes), np.float32)
        self.mask_fraction = np.empty(count, np.float32)
        self.novelty = np.empty(count, np.float32) if has_novelty else None
        self.mask = np.empty((count, height, width), np.float32) if want_mask else None
        self.done = threading.Event()
        self._missing = count
        self._lock = threading.Lock()
        if not count:
            self.done.set()

    def put(self, row: int, request: Any) -> None:
        """Copy the outputs of a finished request."""
        self.logits[row] = request.get_output_tensor(0).data[0]
        self.mask_fraction[row] = request.get_output_tensor(1).data[0]
        if self.novelty is not None:
            self.novelty[row] = request.get_output_tensor(2).data[0]
        if self.mask is not None:
            self.mask[row] = request.get_output_tensor(2 + (self.novelty is not None)).data[0, 0]
        with self._lock:
            self._missing -= 1
            if not self._missing:
                self.done.set()
