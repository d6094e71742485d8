"""A tile classifier for WSInfer, and for QuPath's WSInfer extension: TorchScript and `config.json`.

The configuration follows the schema of the WSInfer Model Zoo
(github.com/SBU-BMI/wsinfer-zoo, wsinfer_zoo/schemas/model-config.schema.json, spec_version 1.0).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.cards import Card
from cancernet_cli.engine.export.base import Run
from cancernet_cli.engine.export.cascade import Exported
from cancernet_cli.engine.export.formats.torchscript import load_trace, save_trace

FOLDER = "wsinfer"
# The names that QuPath expects in the folder of a user's model; WSInfer takes any.
NETWORK_FILE, CONFIG_FILE = "torchscript_model.pt", "config.json"
_LEAST = 1e-12  # probability


class TileLogits(nn.Module):
    """The network as WSInfer calls it: tiles `[N, 3, H, W]` float, 0 to 1, to logits `[N, K]`.

    WSInfer applies softmax to what it gets, so logarithms of the calibrated probabilities become these again.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, tiles: Tensor) -> Tensor:
        """Logarithms of the probabilities, `[N, K]` float32."""
        pixels = torch.round(tiles.permute(0, 2, 3, 1) * 255)
        found: tuple[Tensor, ...] = self.module(pixels)
        return found[0].clamp_min(_LEAST).log()


def wsinfer_config(network: Exported, card: Card) -> dict[str, Any] | None:
    """The configuration; None for a model that WSInfer cannot use: its tiles are square and have a known resolution."""
    mpp = card.input.mpp
    if card.task != "classify" or mpp is None or network.width_px != network.height_px:
        return None
    return {
        "spec_version": "1.0",
        "architecture": card.architecture.backbone,
        "num_classes": len(card.architecture.classes),
        "class_names": list(card.architecture.classes),
        "patch_size_pixels": network.width_px,
        "spacing_um_px": mpp / card.input.scale if network.is_view else mpp,
        "transform": [{"name": "Resize", "arguments": {"size": network.width_px}}, {"name": "ToTensor"}],
    }


def write_wsinfer(network: Exported, config: dict[str, Any], folder: Path) -> None:
    """Write the network and its configuration into a folder.

    Raises:
        ModelError: it cannot be traced.
    """
    folder.mkdir()
    example = network.example().permute(0, 3, 1, 2).float() / 255
    save_trace(TileLogits(network.module).eval(), example, folder / NETWORK_FILE)
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def run_wsinfer(folder: Path) -> Run:
    """Run the file as WSInfer does, from pixels `[N, H, W, 3]` uint8 to probabilities."""
    model = load_trace(folder / NETWORK_FILE)

    def run(pixels: Pixels) -> list[Any]:
        with torch.inference_mode():
            logits = model(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
            return [torch.softmax(logits, dim=1).numpy()]

    return run
