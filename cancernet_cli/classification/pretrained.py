"""Pretrained backbone weights: ImageNet's from a package or a hub, or a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import timm
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from cancernet_cli.classification.base import Backbone, State, backbones
from cancernet_cli.classification.timm_backbone import TimmBackbone
from cancernet_cli.core.errors import ModelError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Pretrained:
    """Where weights came from, and the mean and standard deviation (of pixels in 0..1) that they expect."""

    source: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load_pretrained(backbone: Backbone, name: str, weights: str = "imagenet") -> Pretrained:
    """Load initial weights into a backbone, in place.

    Args:
        name: a registered backbone or a timm model.
        weights: `imagenet`, `none` (stay random), or a safetensors file with torchvision's or timm's key names.

    Raises:
        ModelError: the weights are not available offline, or do not fit the backbone.
    """
    facts = backbones[name].facts if name in backbones else _timm_facts(name)
    mean, std = tuple(facts.get("mean", IMAGENET_MEAN)), tuple(facts.get("std", IMAGENET_STD))
    if weights == "none":
        return Pretrained("random weights", mean, std)
    if weights != "imagenet":
        fill(backbone, _read(Path(weights)), weights)
        return Pretrained(Path(weights).name, mean, std)
    state, source = facts["weights"]() if "weights" in facts else _from_hub(name)
    fill(backbone, state, source)
    return Pretrained(source, mean, std)


def fill(module: nn.Module, state: State, source: str) -> None:
    """Load a whole network's weights into a module that may be a truncated version of it.

    Raises:
        ModelError: a weight of the module is missing, or has another shape.
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
            wrong = "is missing" if given is None else f"has shape {list(given.shape)}, not {list(value.shape)}"
            raise ModelError(
                f"{key} {wrong} in {source}", fix="provide weights of this backbone with their original key names"
            )
        found[key] = given.to(value.dtype)
    target.load_state_dict(found)


def _timm_facts(name: str) -> dict[str, Any]:
    settings = timm.get_pretrained_cfg(name)
    return {} if settings is None else {"mean": settings.mean, "std": settings.std}


def _read(path: Path) -> State:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read as weights ({error})", fix="provide a safetensors file") from None


def _from_hub(name: str) -> tuple[State, str]:
    """ImageNet weights and their source, downloaded from torchvision's or timm's hub unless cached."""
    hub_name = backbones[name].facts.get("hub") if name in backbones else None
    if name in backbones and hub_name is None:
        raise ModelError(
            f"no ImageNet weights are registered for backbone {name!r}",
            fix="pass --weights FILE, or --weights none to start from random weights",
        )
    try:
        if hub_name is not None:
            hub = torchvision.models.get_weight(f"{hub_name}.DEFAULT")
            return dict(hub.get_state_dict(progress=False, check_hash=True)), f"ImageNet {name} ({hub.url})"
        return dict(timm.create_model(name, pretrained=True).state_dict()), f"ImageNet {name} (timm's default weights)"
    except (URLError, OSError, RuntimeError) as error:
        raise ModelError(
            f"the ImageNet weights of {name} cannot be downloaded ({' '.join(str(error).split())[:120]})",
            fix="download them on a machine with network access, save them as safetensors, and pass --weights FILE",
        ) from None
