"""What a user's own sweeps found best on this machine, kept for `--batch-size`, `--workers` and `--precision` auto."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from cancernet_cli import __version__
from cancernet_cli.core.cache import cache_root
from cancernet_cli.core.cards import Card
from cancernet_cli.core.files import write_bytes
from cancernet_cli.core.options import ClassifyOptions, LoaderOptions
from cancernet_cli.core.system import processor

FILE = "advice.json"
# Precisions that may be taken without being asked for, where probabilities were measured to stay within this.
FLOATS = ("fp32", "bf16", "fp16")
MAX_DIFFERENCE = 1e-3


@dataclass(frozen=True)
class Advice:
    """None where nothing was measured."""

    batch_size: int | None = None
    workers: int | None = None
    precision: str | None = None


NO_ADVICE = Advice()


def advice_for(options: LoaderOptions, card: Card | None, device: torch.device, cores: int) -> Advice:
    """What was found best for a run here; nothing where no sweep was run, or by another version.

    Args:
        card: with the run's segmenter filled in; None for commands that only train.
        cores: that this process may use.
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
    """Keep advice in the cache, in place of what was found before on the same questions; where it stands.

    Raises:
        OutputError: the cache cannot be written.
    """
    kept = _read()
    key = _key(card, device, cores)
    before = kept.get(key)
    found = {name: value for name, value in asdict(advice).items() if value is not None}
    kept[key] = {**(before if isinstance(before, dict) else {}), **found, "model": card.name}
    path = _path()
    write_bytes(path, (json.dumps(kept, indent=2, sort_keys=True) + "\n").encode(), durable=False)
    return path


def _path() -> Path:
    return cache_root() / "bench" / FILE


def _read() -> dict[str, Any]:
    """Everything that is kept; nothing where the file is not there or is damaged."""
    try:
        found = json.loads(_path().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _key(card: Card, device: torch.device, cores: int) -> str:
    """What the advice is about: the model, the machine and the version."""
    segmentation = card.segmentation
    facts = f"{card.weights.sha256} {card.input} {segmentation.segmenter} {segmentation.sha256}"
    model = hashlib.sha256(facts.encode()).hexdigest()[:16]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} {processor()}"
    return f"{model} | {name} | {cores} cores | {__version__}"
