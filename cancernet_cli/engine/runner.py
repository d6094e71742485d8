"""What runs a pipeline over views, and which one a run gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from cancernet_cli.core.cards import Card
from cancernet_cli.core.events import Reporter, silent
from cancernet_cli.engine.runtime import Runtime


@dataclass(frozen=True)
class Answer:
    """What the networks say of V views, float32: logits `[V, K]`, mask fraction `[V]`, mask `[V, h, w]` if wanted."""

    logits: np.ndarray
    mask_fraction: np.ndarray
    mask: np.ndarray | None


class Runner(Protocol):
    """Runs a model's networks over views.

    `in_flight` batches are to be under way before the first is waited for.
    """

    @property
    def in_flight(self) -> int: ...

    def start(self, pixels: Tensor) -> Callable[[], Answer]:
        """Send `[V, h, w, 3]` uint8 views on their way; calling what comes back waits for the answer."""


def open_runner(
    folder: Path,
    card: Card,
    runtime: Runtime,
    *,
    int8: Path | None = None,
    want_mask: bool = False,
    files: int | None = None,
    report: Reporter = silent,
) -> Runner:
    """What runs a model's networks as the runtime says.

    Args:
        folder: the model's. card: its card, with the run's segmenter filled in.
        int8: the quantised network (`engine.int8`) that runs in place of the model's own.
        want_mask: also bring the masks back.
        files: of the whole run, done ones too, so that a resumed run computes alike; few are not worth compiling
            networks for. None: as many as it takes.

    Raises:
        ModelError: weights are missing, changed or do not fit.
        DeviceError: the device cannot do it.
    """
    # Each library is imported only where it runs: timm and torchvision alone take two seconds.
    if runtime.library == "openvino":
        from cancernet_cli.engine.openvino_model import openvino_model, read_openvino
        from cancernet_cli.engine.runner_openvino import OpenVINORunner

        model = read_openvino(int8) if int8 else openvino_model(folder, card, report)
        return OpenVINORunner(model, runtime, want_mask=want_mask)
    from cancernet_cli.engine.pipeline import load_pipeline
    from cancernet_cli.engine.runner_torch import TorchRunner

    pipeline = load_pipeline(folder, card)
    # A watershed is OpenCV's work: pixels come back to the CPU in the midst of the pipeline, which no graph can hold.
    if runtime.device.type == "cuda" and card.segmentation.segmenter != "watershed":
        from cancernet_cli.engine.runner_cuda import COMPILED, WORTH_COMPILING, CudaRunner

        mode = COMPILED if files is None or files >= WORTH_COMPILING else None
        view_px = (card.input.height_px, card.input.width_px)
        return CudaRunner(pipeline, runtime, view_px, want_mask=want_mask, mode=mode, report=report)
    return TorchRunner(pipeline, runtime, want_mask=want_mask)
