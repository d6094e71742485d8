"""TorchScript: for PyTorch and LibTorch without this package, and for QuPath and WSInfer."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.engine.export.base import Run, exporters, not_expressible, traced
from cancernet_cli.engine.export.cascade import Exported

PROGRAM = """import torch

model = torch.jit.load("{file}")
with torch.inference_mode():
    outputs = [tensor.numpy() for tensor in model(torch.from_numpy(pixels))]
"""


def save_trace(module: nn.Module, example: torch.Tensor, path: Path) -> None:
    """Trace a module and save it.

    Raises:
        ModelError: it cannot be traced.
    """
    # What is traced depends on sizes that are fixed; PyTorch warns of each, and that TorchScript is no longer extended.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with torch.no_grad():
                torch.jit.trace(module, example, check_trace=False).save(str(path))  # type: ignore[no-untyped-call]
        except (RuntimeError, TypeError, ValueError) as error:
            raise not_expressible("TorchScript", error) from error


def load_trace(path: Path) -> Callable[[torch.Tensor], Any]:
    """A saved trace."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Callable[[torch.Tensor], Any] = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
        return found


@exporters.register(
    "torchscript",
    summary="PyTorch without this package, QuPath and WSInfer",
    file="model.pt",
    extra="",
    program=PROGRAM,
)
class TorchScript:
    """A trace of the network."""

    def write(self, network: Exported, path: Path) -> None:
        """See `Exporter`."""
        traced(network)  # a trace would take what is computed outside PyTorch as constant
        save_trace(network.module, network.example(), path)

    def load(self, path: Path) -> Run:
        """See `Exporter`."""
        model = load_trace(path)

        def run(pixels: Pixels) -> list[np.ndarray]:
            with torch.inference_mode():
                return [tensor.numpy() for tensor in model(torch.from_numpy(pixels))]

        return run
