"""Where pretrained weights are published, and how they are downloaded or read from a file that was brought."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import timm
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

from cancernet_cli.classification.base import State, backbones
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.files import file_sha256
from cancernet_cli.core.registry import suggestion
from cancernet_cli.core.text import one_line

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
UNSTATED = "not stated"
_HUB = "hf-hub:"
_SITE = "https://huggingface.co"
_HASHED = re.compile(r"-([0-9a-f]{8,64})\.\w+$")  # torchvision's file names end with the start of their SHA-256


@dataclass(frozen=True)
class Weights:
    """Pretrained weights under the key names of their library.

    backbone: the name for `finetune --backbone`. mean, std: of pixels in 0..1 that they expect.
    """

    state: State
    backbone: str
    source: str
    licence: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Published:
    """Weights that someone publishes.

    address: of the file, or of the page with the files. files: what to download there, in words. place: name in a
    folder of weights under which what was downloaded elsewhere is looked for.
    """

    address: str
    files: str
    place: str
    download: Callable[[], Weights]
    read: Callable[[Path], Weights]


def published(name: str) -> Published | None:
    """Where the weights of a network are published; None for a registered backbone whose weights are not downloaded.

    Args:
        name: a registered backbone, a timm model, or `hf-hub:owner/name`.

    Raises:
        ModelError: there is no such network, or nothing is published for it.
    """
    if name.startswith(_HUB):
        return _on_hub(name)
    if name in backbones:
        hub = backbones[name].facts.get("hub")
        return None if hub is None else _of_torchvision(name, torchvision.models.get_weight(f"{hub}.DEFAULT"))
    return _of_timm(name)


def download(name: str, found: Published, *, fix: str) -> Weights:
    """Download weights, or take them from the library's cache.

    Raises:
        ModelError: they cannot be downloaded.
    """
    try:
        return found.download()
    except Exception as error:  # urllib, the Hub's client and timm have no class of errors in common
        raise ModelError(
            f"the weights of {name} cannot be downloaded ({type(error).__name__}: {one_line(str(error))[:120]})",
            fix=fix,
        ) from None


def read_brought(found: Published, path: Path) -> Weights:
    """Weights from a file or folder that was downloaded elsewhere; no code in it is executed.

    Raises:
        ModelError: it is damaged, or not what is published there.
    """
    hashed = _HASHED.search(path.name)
    if hashed and not file_sha256(path).startswith(hashed[1]):
        raise ModelError(f"{path} does not have the SHA-256 in its name", fix=f"download {found.address} again")
    try:
        return found.read(path)
    except Exception as error:  # damaged files raise errors of any class
        raise ModelError(
            f"{path} cannot be read as the published weights ({type(error).__name__}: {one_line(str(error))[:200]})",
            fix=f"download {found.files} from {found.address} again",
        ) from None


def read_state(path: Path) -> State:
    """Tensors by name from a safetensors file or a PyTorch checkpoint, of which only tensors are read."""
    if path.suffix == ".safetensors":
        return dict(load_file(path))
    found: State = torch.load(path, map_location="cpu", weights_only=True)
    return found


def _of_torchvision(name: str, weights: Any) -> Published:
    facts = backbones[name].facts
    mean, std = tuple(facts.get("mean", IMAGENET_MEAN)), tuple(facts.get("std", IMAGENET_STD))

    def made(state: State) -> Weights:
        return Weights(state, name, f"ImageNet {name} ({weights.url})", facts.get("licence", UNSTATED), mean, std)

    return Published(
        weights.url,
        "the file",
        Path(urlparse(weights.url).path).name,
        lambda: made(dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))),
        lambda path: made(read_state(path)),
    )


def _of_timm(name: str) -> Published:
    if not timm.is_model(name):
        nearest = suggestion(name, backbones.names(), also=timm.list_models())
        raise ModelError(f"unknown backbone {name!r}", fix=f"{nearest} (any timm model works, and hf-hub:owner/name)")
    try:
        settings = timm.get_pretrained_cfg(name)
    except RuntimeError:  # no weights have this tag
        settings = None
    if settings is None or not (settings.hf_hub_id or settings.url):
        known = timm.list_pretrained(f"{name.split('.')[0]}.*")
        raise ModelError(
            f"timm publishes no weights for {name!r}",
            fix=f"choose one of: {', '.join(known)}" if known else "choose another network",
        )
    address = str(settings.url)
    if settings.hf_hub_id:
        address = f"{_SITE}/{settings.hf_hub_id}/resolve/main/{settings.hf_hub_filename or 'model.safetensors'}"
    ending = Path(urlparse(address).path).suffix

    def brought(path: Path) -> Weights:
        overlay = {"state_dict": read_state(path), "hf_hub_id": None, "url": None}
        return _made(timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay), name, address)

    return Published(
        address,
        "the file",
        f"downloaded--{name}{ending}",
        lambda: _made(timm.create_model(name, pretrained=True), name, address),
        brought,
    )


def _on_hub(name: str) -> Published:
    repository = name.removeprefix(_HUB)
    address = f"{_SITE}/{repository.partition('@')[0]}"
    if not re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w.-]+)?", repository):
        raise ModelError(f"{name!r} is not a name on the Hugging Face Hub", fix="write it as hf-hub:owner/name")
    return Published(
        address,
        "config.json and model.safetensors",
        f"downloaded--{repository.replace('/', '--')}",
        lambda: _made(timm.create_model(name, pretrained=True), None, address),
        lambda path: _made(timm.create_model(f"local-dir:{path}", pretrained=True), None, address),
    )


def _made(network: nn.Module, backbone: str | None, address: str) -> Weights:
    """The weights of a timm network."""
    settings: dict[str, Any] = network.pretrained_cfg  # type: ignore[assignment]
    return Weights(
        dict(network.state_dict()),
        backbone or settings["architecture"],
        address,
        settings.get("license") or UNSTATED,
        tuple(settings.get("mean", IMAGENET_MEAN)),
        tuple(settings.get("std", IMAGENET_STD)),
    )
