"""Choose the runner of a model's networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cancernet_cli.core.cards import Card
from cancernet_cli.core.events import Reporter, silent
from cancernet_cli.inference.runner import Runner
from cancernet_cli.inference.runtime import Runtime
from cancernet_cli.segmentation.base import LearnedSegmenter, segmenters

if TYPE_CHECKING:
    from cancernet_cli.inference.int8 import Int8Network


def open_runner(
    folder: Path,
    card: Card,
    runtime: Runtime,
    *,
    int8: Int8Network | None = None,
    want_mask: bool = False,
    files: int | None = None,
    report: Reporter = silent,
) -> Runner:
    """The runner of a model's networks for a runtime.

    Args:
        folder: of the model. card: its card, with the run's segmenter filled in.
        int8: the quantised network (`inference.int8`) to run instead of the model's own.
        want_mask: return the masks as well.
        files: number of files of the whole run, including finished ones, so that a resumed run computes the same;
            networks are not compiled for few files. None: enough to compile.

    Raises:
        ModelError: weights are missing, changed or do not fit.
        DeviceError: the device does not support the precision or has too little memory.
    """
    # Libraries are imported only where they are needed: timm and torchvision alone take two seconds.
    if runtime.library == "openvino":
        from cancernet_cli.inference.openvino_model import openvino_model
        from cancernet_cli.inference.openvino_runner import OpenVINORunner

        model = int8.read() if int8 else openvino_model(folder, card, report)
        return OpenVINORunner(model, runtime, want_mask=want_mask)
    from cancernet_cli.inference.pipeline import load_pipeline
    from cancernet_cli.inference.torch_runner import TorchRunner

    pipeline = load_pipeline(folder, card)
    # A segmenter that runs on the CPU, such as OpenCV's watershed, breaks the CUDA graph of a pipeline.
    if runtime.device.type == "cuda" and segmenters[card.segmentation.segmenter].facts.get("on_device"):
        from cancernet_cli.inference.cuda_runner import COMPILED, WORTH_COMPILING, CudaRunner

        mode = COMPILED if files is None or files >= WORTH_COMPILING else None
        view_px = (card.input.height_px, card.input.width_px)
        return CudaRunner(pipeline, runtime, view_px, want_mask=want_mask, mode=mode, report=report)
    return TorchRunner(pipeline, runtime, want_mask=want_mask)


def open_mask_runner(name: str, folder: Path | None, card: Card | None, runtime: Runtime) -> Runner:
    """The runner of a segmenter alone, on views at the scale that it was trained at; it returns masks.

    Args:
        name: of the segmenter. folder, card: of the segmentation model; None for segmenters without weights.

    Raises:
        ModelError: weights are missing, changed or do not fit.
    """
    from cancernet_cli.inference.pipeline import MaskPipeline
    from cancernet_cli.inference.torch_runner import TorchRunner

    segmenter = segmenters[name].factory(folder)
    if isinstance(segmenter, LearnedSegmenter) and card is not None:
        segmenter.at_scale(card.input.scale)
    return TorchRunner(MaskPipeline(segmenter).eval(), runtime, want_mask=True)
