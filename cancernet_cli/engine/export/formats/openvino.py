"""OpenVINO: for Intel processors and graphics."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.engine.export.base import Run, exporters, not_expressible, traced
from cancernet_cli.engine.export.cascade import Exported

PROGRAM = """import openvino

model = openvino.Core().compile_model("{file}", "CPU", {{"INFERENCE_PRECISION_HINT": "f32"}})
outputs = list(model(pixels).values())
"""


@exporters.register("openvino", summary="OpenVINO on Intel processors", file="model.xml", extra="", program=PROGRAM)
class OpenVino:
    """The same conversion as for `classify --runtime openvino`."""

    def write(self, network: Exported, path: Path) -> None:
        """See `Exporter`."""
        from cancernet_cli.inference.openvino_model import convert_program, save_openvino

        program = traced(network)
        try:
            model = convert_program(program)
        except Exception as error:  # the frontend's own, and RuntimeError
            raise not_expressible("OpenVINO", error) from error
        model.inputs[0].get_tensor().set_names({"pixels"})
        for output, name in zip(model.outputs, network.outputs, strict=True):
            output.get_tensor().set_names({name})
        save_openvino(model, path)

    def load(self, path: Path) -> Run:
        """See `Exporter`."""
        from cancernet_cli.inference.openvino_import import ov

        model = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

        def run(pixels: Pixels) -> list[np.ndarray]:
            return [np.array(one) for one in model(pixels).values()]

        return run
