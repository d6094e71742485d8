"""Best settings found by `cancernet bench` on this machine, used for `auto` batch size, workers and precision."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from cancernet_cli import __version__
from cancernet_cli.core.cache import cache_folder, cache_root
from cancernet_cli.core.cards import Card
from cancernet_cli.core.files import output_error, write_bytes
from cancernet_cli.core.machine.system import processor
from cancernet_cli.core.options import ClassifyOptions, LoaderOptions

FILE = "advice.json"
# Precisions that `auto` may choose if probabilities differ from fp32 by less than MAX_DIFFERENCE.
FLOATS = ("fp32", "bf16", "fp16")
MAX_DIFFERENCE = 1e-3


@dataclass(frozen=True)
class Advice:
    """Best settings; None where nothing was measured."""

    batch_size: int | None = None
    workers: int | None = None
    precision: str | None = None


NO_ADVICE = Advice()


def advice_for(options: LoaderOptions, card: Card | None, device: torch.device, cores: int) -> Advice:
    """The best settings for a run on this machine; `NO_ADVICE` if this version has not run a sweep for them.

    Args:
        card: with the run's segmenter filled in; None for commands that only train.
        cores: number available to this process.
    """
    if card is None or not isinstance(options, ClassifyOptions) or options.runtime != "auto":
        return NO_ADVICE
    kept = _read().get(_key(card, device, cores))
    if not isinstance(kept, dict):
        return NO_ADVICE
    batch_size, workers, precision = (kept.get(field.name) for field in fields(Advice))
    return Advice(
        batch_size if isinstance(batch_size, int) and batch_size >= 1 else None,
        workers if isinstance(workers, int) and workers >= 0 else None,
        precision if precision in FLOATS else None,
    )


def keep_advice(advice: Advice, card: Card, device: torch.device, cores: int) -> Path:
    """Save advice in the cache, replacing earlier values of the same settings; returns the file.

    Raises:
        OutputError: the cache cannot be written.
    """
    kept = _read()
    key = _key(card, device, cores)
    before = kept.get(key)
    found = {name: value for name, value in asdict(advice).items() if value is not None}
    kept[key] = {**(before if isinstance(before, dict) else {}), **found, "model": card.name}
    path = _path()
    try:
        cache_folder(path.parent.name)
    except OSError as error:
        raise output_error(path, error) from error
    write_bytes(path, (json.dumps(kept, indent=2, sort_keys=True) + "\n").encode(), durable=False)
    return path


def _path() -> Path:
    return cache_root() / "bench" / FILE


def _read() -> dict[str, Any]:
    """All saved advice; empty if the file is missing or damaged."""
    try:
        found = json.loads(_path().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _key(card: Card, device: torch.device, cores: int) -> str:
    """Key of the advice: model, machine and version."""
    segmentation = card.segmentation
    facts = f"{card.weights.sha256} {card.input} {segmentation.segmenter} {segmentation.sha256}"
    model = hashlib.sha256(facts.encode()).hexdigest()[:16]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} {processor()}"
    return f"{model} | {name} | {cores} cores | {__version__}"
