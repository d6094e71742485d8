"""The interface and registry of export formats."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch.export import Dim, ExportedProgram

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.registry import EXPORT_FORMATS, Registry
from cancernet_cli.core.text import one_line
from cancernet_cli.engine.export.cascade import Exported

# From images `[N, H, W, 3]` uint8 to the outputs in the order of `Exported.outputs`.
Run = Callable[[Pixels], list[np.ndarray]]


class Exporter(Protocol):
    """Writes a network in one format, and runs such a file by the library that it is for."""

    def write(self, network: Exported, path: Path) -> None:
        """Write the file and any files that belong to it, next to it.

        Raises:
            ModelError: the network has a part that the format cannot express, or a package is not installed.
        """

    def load(self, path: Path) -> Run:
        """A function that runs the file."""


# Facts, all required:
#   summary: one line of help.
#   file: the file's name.
#   extra: the extra of the package that it needs; "" for none.
#   program: Python code that loads the file and sets `outputs`, a list of arrays, from `pixels`.
exporters: Registry[Callable[[], Exporter]] = Registry("export format", EXPORT_FORMATS)


def traced(network: Exported) -> ExportedProgram:
    """The network as a graph of PyTorch's operators, for any number of images.

    Raises:
        ModelError: it has a part in Python or with other libraries, such as a plug-in's head.
    """
    try:
        with torch.no_grad():
            return torch.export.export(
                network.module, (network.example(),), dynamic_shapes=({0: Dim("images", min=1, max=65_536)},)
            )
    except Exception as error:  # PyTorch has no common class for what cannot be traced
        raise not_expressible("a graph of PyTorch", error) from error


def not_expressible(kind: str, error: Exception) -> ModelError:
    """The error for a network that a format cannot express."""
    return ModelError(
        f"the model cannot be converted to {kind}: {type(error).__name__}: {one_line(str(error))[:300]}",
        fix="export a model whose backbone, head and segmenter consist of PyTorch operations, or choose another "
        "--format",
    )


@contextmanager
def without_warnings() -> Iterator[None]:
    """No log messages of converters in the block, up to warnings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Turn a missing package in the block into the command that installs it.

    Raises:
        ModelError: the block could not import a package.
    """
    try:
        yield
    except ImportError as error:
        raise ModelError(
            f"this format requires the package {error.name or 'that is missing'!r}",
            fix=f'pip install "cancernet[{extra}]"',
        ) from None
