"""What a run was made with: the part that decides the result, and the part that belongs to this run alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cancernet_cli import __version__
from cancernet_cli.core.cards import CARD_FILE, Card, file_sha256
from cancernet_cli.core.options import ClassifyOptions, Options
from cancernet_cli.inference.runtime import Runtime
from cancernet_cli.segmentation import segmenters

_PACKAGES = (
    "torch",
    "openvino",
    "torchvision",
    "timm",
    "segmentation-models-pytorch",
    "numpy",
    "pyarrow",
    "opencv-python-headless",
    "pillow",
)


def result_state(card: Card, folder: Path, options: ClassifyOptions, runtime: Runtime) -> dict[str, str]:
    """Everything that the rows depend on, as the table's metadata holds it.

    `card` is the card with the run's segmenter filled in.
    """
    segmenter = segmenters[card.segmentation.segmenter]
    state: dict[str, Any] = {
        "model": card.name,
        "model_card_sha256": file_sha256(folder / CARD_FILE),
        "model_weights_sha256": card.weights.sha256,
        "segmentation_weights_sha256": card.segmentation.sha256 if segmenter.facts.get("needs_model") else "",
        **options.result_options(),
        "segmenter": card.segmentation.segmenter,
        "precision": runtime.precision,
        "runtime": runtime.library,  # they agree to a millionth, not to the bit
        "labels": labels_state(options.labels),
    }
    return {
        name: value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in sorted(state.items())
    }


def labels_state(labels: str) -> str:
    """The label source; a label file counts by its content."""
    path = Path(labels)
    if labels in ("auto", "none", "folders", "breakhis") or not path.is_file():
        return labels
    return "file sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def run_record(options: ClassifyOptions, runtime: Runtime, state: dict[str, str], **counts: Any) -> dict[str, Any]:
    """What belongs to this run: command line, versions, machine, options as asked and as resolved, counts, times."""
    return {
        **circumstances(options),
        "result": state,
        "resolved": {
            "device": runtime.device_name,
            "runtime": runtime.library,
            "precision": runtime.precision,
            "batch_size": runtime.batch_size,
            "workers": runtime.workers,
        },
        **counts,
    }


def circumstances(options: Options) -> dict[str, Any]:
    """What every run record holds: version, command line, time, options as asked, machine, versions of libraries."""
    return {
        "schema": 1,
        "cancernet": __version__,
        "command": sys.argv,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": {f.name: _plain(getattr(options, f.name)) for f in dataclasses.fields(options)},
        "machine": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
