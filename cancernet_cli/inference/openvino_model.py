"""Convert a model's pipeline for OpenVINO, once, and keep it in the cache."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cancernet_cli import __version__
from cancernet_cli.core.cache import cached_folder
from cancernet_cli.core.cards import Card
from cancernet_cli.core.events import Note, Reporter, silent
from cancernet_cli.core.system import package_versions
from cancernet_cli.inference.openvino_import import ov

if TYPE_CHECKING:
    import torch

FILE = "model.xml"
PACKAGES = ("openvino", "torch", "timm", "segmentation-models-pytorch")


def openvino_model(folder: Path, card: Card, report: Reporter = silent) -> ov.Model:
    """The pipeline of a model's folder: views `[1, H, W, 3]` uint8 to the outputs of `PipelineOutput`.

    Converting takes about ten seconds and needs PyTorch; reading the result from the cache takes a fraction of a second
    and does not.

    Args:
        card: the folder's card, with the run's segmenter filled in.

    Raises:
        ModelError: weights are missing, changed or do not fit.
    """

    def make(into: Path) -> None:
        report(Note(f"converting {card.name} for OpenVINO; later runs use the cached result"))
        save_openvino(convert(folder, card), into / FILE)

    with cached_folder("openvino", cache_key(card), make, report) as found:
        return ov.Core().read_model(found / FILE)


def save_openvino(model: ov.Model, path: Path) -> None:
    """Write a network as an `.xml` file and a `.bin` file next to it.

    Raises:
        OSError: they cannot be written.
    """
    try:
        ov.save_model(model, path, compress_to_fp16=False)
    except RuntimeError as error:  # it says "iostream error", whatever the cause
        full = shutil.disk_usage(path.parent).free < 1_000_000
        number = errno.ENOSPC if full else errno.EIO
        raise OSError(number, os.strerror(number)) from error


def convert(folder: Path, card: Card) -> ov.Model:
    """Convert the pipeline of a model's folder."""
    import torch

    from cancernet_cli.inference.pipeline import load_pipeline

    example = torch.zeros((1, card.input.height_px, card.input.width_px, 3), dtype=torch.uint8)
    with torch.no_grad():
        return convert_program(torch.export.export(load_pipeline(folder, card), (example,)))


def convert_program(program: torch.export.ExportedProgram) -> ov.Model:
    """Convert an exported program; sizes that vary in it vary in the result.

    Uses OpenVINO's PyTorch frontend (https://docs.openvino.ai, "Converting a PyTorch Model") and not `convert_model`,
    which sends telemetry.
    """
    import torch
    from openvino._offline_transformations import apply_moc_transformations
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    varies = bool(program.range_constraints)
    # It logs a traceback through the root logger for every decomposition that this PyTorch no longer has.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with torch.no_grad():
            decoder = TorchFXPythonDecoder.from_exported_program(program, dynamic_shapes=varies)
    finally:
        logging.disable(before)
    frontend = FrontEndManager().load_by_framework("pytorch")
    model: ov.Model = frontend.convert(frontend.load(decoder))
    apply_moc_transformations(model, cf=False)  # as `convert_model` does; folds batch norms, for example
    return model


def cache_key(card: Card) -> str:
    """SHA-256 of everything that the converted model depends on, versions of libraries included."""
    facts = {
        "cancernet": __version__,
        "packages": package_versions(*PACKAGES),
        "architecture": asdict(card.architecture),
        "input": asdict(card.input),
        "domain": card.domain.rank,
        "outputs": 4,
        "weights": card.weights.sha256,
        "segmenter": card.segmentation.segmenter,
        "segmentation_weights": card.segmentation.sha256,
        "background_weight": card.segmentation.background_weight,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def ancestors(node: Any) -> set[str]:
    """Names of an operation of a model and of every operation that its value depends on."""
    seen: set[str] = set()
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if at.get_friendly_name() not in seen:
            seen.add(at.get_friendly_name())
            waiting += [value.get_node() for value in at.input_values()]
    return seen
