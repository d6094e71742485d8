"""Pretrained backbone weights: ImageNet's from a package or a hub, or a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from cancernet_cli.classification.base import Backbone, State, backbones
from cancernet_cli.classification.hub import IMAGENET_MEAN, IMAGENET_STD, UNSTATED, Weights, download, published
from cancernet_cli.classification.timm_backbone import TimmBackbone
from cancernet_cli.core.errors import ModelError

_HEADER = "cancernet"  # the key in a file's header


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
        weights: `imagenet`, `none` (stay random), or a safetensors file with torchvision's or timm's key names, such as
            `cancernet models fetch` writes.

    Raises:
        ModelError: the weights are not available offline, or do not fit the backbone.
    """
    if weights == "imagenet":
        has_package = name in backbones and "weights" in backbones[name].facts
        found = packaged_weights(name) if has_package else _from_hub(name)
        fill(backbone, found.state, found.source)
        return Pretrained(found.source, found.mean, found.std)
    facts = dict(backbones[name].facts if name in backbones else _timm_facts(name))
    source = "random weights"
    if weights != "none":
        state, own = _read(Path(weights))
        fill(backbone, state, weights)
        source, facts = own.get("source", Path(weights).name), {**facts, **own}
    return Pretrained(source, tuple(facts.get("mean", IMAGENET_MEAN)), tuple(facts.get("std", IMAGENET_STD)))


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


def packaged_weights(name: str) -> Weights:
    """The ImageNet weights of a registered backbone that come from an installed package.

    Raises:
        ModelError: none are registered, or the package is not installed.
    """
    facts = backbones[name].facts
    if "weights" not in facts:
        raise ModelError(
            f"no ImageNet weights are registered for backbone {name!r}",
            fix="pass --weights FILE, or --weights none to start from random weights",
        )
    state, source = facts["weights"]()
    mean, std = tuple(facts.get("mean", IMAGENET_MEAN)), tuple(facts.get("std", IMAGENET_STD))
    return Weights(state, name, source, facts.get("licence", UNSTATED), mean, std)


def weights_file(weights: Weights) -> bytes:
    """Weights as a safetensors file whose header has what `load_pretrained` has to know of them."""
    facts = {"source": weights.source, "licence": weights.licence, "mean": weights.mean, "std": weights.std}
    state = {name: value.detach().cpu().contiguous().clone() for name, value in weights.state.items()}
    # One entry: safetensors writes several in any order, and the same weights have to give the same bytes.
    return save(state, {_HEADER: json.dumps(facts, sort_keys=True)})


def _timm_facts(name: str) -> dict[str, Any]:
    settings = timm.get_pretrained_cfg(name)
    return {} if settings is None else {"mean": settings.mean, "std": settings.std}


def _read(path: Path) -> tuple[State, dict[str, Any]]:
    """The tensors of a file, and the facts in its header if `weights_file` wrote it."""
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
        facts = json.loads(header.get(_HEADER, "{}"))
        return load_file(path), facts if isinstance(facts, dict) else {}
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read as weights ({error})",
            fix="provide a safetensors file; `cancernet models fetch` writes one",
        ) from None


def _from_hub(name: str) -> Weights:
    """ImageNet weights downloaded from torchvision's or timm's hub unless cached."""
    source = published(name)
    if source is None:
        return packaged_weights(name)
    fix = f"run `cancernet models fetch {name}` on a machine with network access, and pass --weights FILE"
    return download(name, source, fix=fix)
