"""ONNX: for ONNX Runtime and most other runtimes, in many languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.engine.export.base import Run, exporters, needs, not_expressible, traced, without_warnings
from cancernet_cli.engine.export.cascade import Exported

OPSET = 20  # of 2023; every runtime of the last years reads it

PROGRAM = """import onnxruntime

session = onnxruntime.InferenceSession("{file}")
outputs = session.run(None, {{"pixels": pixels}})
"""


def to_onnx(network: Exported) -> Any:
    """The network as an `onnx.ModelProto`; the same network gives the same bytes.

    Raises:
        ModelError: it has an operator that ONNX does not have, or a package is not installed.
    """
    with needs("onnx"):
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    program = traced(network)
    try:
        with without_warnings():
            found = torch.onnx.export(
                program,
                input_names=["pixels"],
                output_names=list(network.outputs),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # the exporter wraps whatever went wrong
        raise not_expressible("ONNX", error) from error
    assert found is not None
    model = found.model_proto
    _forget_sources(model.graph)
    for function in model.functions:
        _forget_sources(function)
    return model


def _forget_sources(graph: Any) -> None:
    """Remove where in which file of this machine each operator came from."""
    del graph.metadata_props[:]
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*getattr(graph, "value_info", ()), *getattr(graph, "initializer", ())):
        del value.metadata_props[:]


@exporters.register(
    "onnx", summary="ONNX Runtime and most other runtimes", file="model.onnx", extra="onnx", program=PROGRAM
)
class Onnx:
    """An ONNX model by PyTorch's exporter."""

    def write(self, network: Exported, path: Path) -> None:
        """See `Exporter`."""
        path.write_bytes(to_onnx(network).SerializeToString(deterministic=True))

    def load(self, path: Path) -> Run:
        """See `Exporter`."""
        with needs("onnx"):
            import onnxruntime
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

        def run(pixels: Pixels) -> list[np.ndarray]:
            return [np.asarray(one) for one in session.run(None, {"pixels": pixels})]

        return run
