"""A model's pipeline in OpenVINO's own format: converted once, kept in the cache."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict
from pathlib import Path

from cancernet_cli import __version__
from cancernet_cli.core.cache import cached_folder
from cancernet_cli.core.cards import Card
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.events import Note, Reporter, silent
from cancernet_cli.core.system import package_versions
from cancernet_cli.inference.openvino_import import ov

FILE = "model.xml"
PACKAGES = ("openvino", "torch", "timm", "segmentation-models-pytorch")


def openvino_model(folder: Path, card: Card, report: Reporter = silent) -> ov.Model:
    """The pipeline of a model's folder: views `[1, h, w, 3]` uint8 to logits, mask fraction and mask.

    Converting takes some ten seconds and needs PyTorch's networks; the result lies in the cache under everything that
    it depends on, and is read in a fraction of a second without them.

    Args:
        card: the folder's card, with the run's segmenter filled in.

    Raises:
        ModelError: weights are missing, changed or do not fit.
    """

    def make(into: Path) -> None:
        report(Note(f"converting {card.name} for OpenVINO; the next run finds it in the cache"))
        ov.save_model(convert(folder, card), into / FILE, compress_to_fp16=False)

    with cached_folder("openvino", cache_key(card), make, report) as found:
        try:
            return read_openvino(found / FILE)
        except ModelError:  # a disk lost part of it
            make(found)
            return read_openvino(found / FILE)


def read_openvino(path: Path) -> ov.Model:
    """A network as OpenVINO keeps it.

    Raises:
        ModelError: the file is damaged.
    """
    try:
        return ov.Core().read_model(path)
    except RuntimeError as error:
        first = str(error).strip().splitlines()[-1]
        raise ModelError(f"{path} is damaged: {first}", fix="remove it and its .bin; they are made again") from None


def convert(folder: Path, card: Card) -> ov.Model:
    """The same, converted anew.

    By OpenVINO's PyTorch frontend (https://docs.openvino.ai, "Converting a PyTorch Model") and not its `convert_model`,
    which reports to its makers that it was called.
    """
    import torch
    from openvino._offline_transformations import apply_moc_transformations
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    from cancernet_cli.inference.pipeline import load_pipeline

    example = torch.zeros((1, card.input.height_px, card.input.width_px, 3), dtype=torch.uint8)
    with torch.no_grad():
        exported = torch.export.export(load_pipeline(folder, card), (example,))
        # It logs, by the root logger, a traceback for every decomposition that this PyTorch no longer has.
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            decoder = TorchFXPythonDecoder.from_exported_program(exported, dynamic_shapes=False)
        finally:
            logging.disable(before)
        frontend = FrontEndManager().load_by_framework("pytorch")
        model: ov.Model = frontend.convert(frontend.load(decoder))
    apply_moc_transformations(model, cf=False)  # as `convert_model` does: batch norms are folded, say
    return model


def cache_key(card: Card) -> str:
    """SHA-256 of everything that the converted model depends on, and of the version of what made it."""
    facts = {
        "cancernet": __version__,
        "packages": package_versions(*PACKAGES),
        "architecture": asdict(card.architecture),
        "input": asdict(card.input),
        "weights": card.weights.sha256,
        "segmenter": card.segmentation.segmenter,
        "segmentation_weights": card.segmentation.sha256,
        "keep": card.segmentation.keep,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
