"""Provenance of a run: what its result depends on, and the machine, versions and command of this run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from cancernet_cli import __version__
from cancernet_cli.core.cards import CARD_FILE, Card, file_sha256
from cancernet_cli.core.machine.system import available_cores, memory_bytes, package_versions, processor
from cancernet_cli.core.options import ClassifyOptions, Options
from cancernet_cli.data.splits.training_images import HASHES_FILE
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
    "imagecodecs",
    "simplejpeg",
)


def result_state(card: Card, folder: Path, options: ClassifyOptions, runtime: Runtime) -> dict[str, str]:
    """Everything that the rows depend on, as stored in the table's metadata.

    Args:
        card: with the run's segmenter.
    """
    segmenter = segmenters[card.segmentation.segmenter]
    state: dict[str, Any] = {
        "model": card.name,
        "model_card_sha256": file_sha256(folder / CARD_FILE),
        "model_weights_sha256": card.weights.sha256,
        "training_images_sha256": _sha256_if_any(folder / HASHES_FILE),
        "segmentation_weights_sha256": card.segmentation.sha256 if segmenter.facts.get("needs_model") else "",
        **options.result_options(),
        "segmenter": card.segmentation.segmenter,
        "precision": runtime.precision,
        "runtime": runtime.library,  # their probabilities agree to 1e-6 but not bit for bit
        "labels": labels_state(options.labels),
    }
    return {
        name: value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in sorted(state.items())
    }


def _sha256_if_any(path: Path) -> str:
    return file_sha256(path) if path.is_file() else ""


def labels_state(labels: str) -> str:
    """The label source; a label file is identified by its content."""
    path = Path(labels)
    if labels in ("auto", "none", "folders", "breakhis") or not path.is_file():
        return labels
    return "file sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def circumstances(options: Options) -> dict[str, Any]:
    """The part that all run records share: version, command line, time, options as given, machine, library versions."""
    return {
        "schema": 1,
        "cancernet": __version__,
        "command": sys.argv,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in dataclasses.asdict(options).items()
        },
        "machine": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "processor": platform.machine(),
            "cores": available_cores(),
        },
        "versions": package_versions(*_PACKAGES),
    }


def machine_facts() -> dict[str, Any]:
    """Processor, cores, memory, GPU, system, and the load average of the last minute."""
    return {
        "processor": processor(),
        "cores": available_cores(),
        "memory_bytes": memory_bytes(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def version_facts() -> dict[str, str]:
    """Versions of CancerNet, Python and the libraries that results and speed depend on."""
    return {"cancernet": __version__, "python": platform.python_version(), **package_versions(*_PACKAGES)}


def call_facts() -> dict[str, str]:
    """Date and command line of this process."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }
