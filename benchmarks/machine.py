"""Describe the circumstances of a measurement (machine, versions, command, date) and write its result."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import results_table

from cancernet_cli.core.machine.system import available_cores, memory_bytes, processor

PACKAGES = (
    "cancernet",
    "torch",
    "openvino",
    "nncf",
    "torchvision",
    "timm",
    "numpy",
    "opencv-python-headless",
    "imagecodecs",
    "simplejpeg",
    "pillow",
    "pyarrow",
    "openslide-python",
    "openslide-bin",
    "tifffile",
)
LOAD_BEFORE = [
    round(load, 2) for load in os.getloadavg()
]  # averages of 1, 5 and 15 minutes before this script runs anything
RESULTS = results_table.RESULTS


def facts() -> dict[str, Any]:
    """Machine, versions and command of this process."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "command": command(),
        "machine": {
            "processor": processor(),
            "cores": available_cores(),
            "memory_gb": round((memory_bytes() or 0) / 1e9, 1),
            "gpu": gpu(),
            "system": platform.platform(),
            "load_before": LOAD_BEFORE,
        },
        "versions": {"python": platform.python_version(), **{name: installed(name) for name in PACKAGES}},
    }


def command() -> str:
    """The command line of this script, with $CANCERNET_DATA for the folder of real data."""
    words = shlex.join(["python", *sys.orig_argv[1:]])
    data = os.environ.get("CANCERNET_DATA")
    return words.replace(data.rstrip("/"), "$CANCERNET_DATA") if data else words


def gpu() -> str | None:
    """Name of the first CUDA device."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def installed(package: str) -> str | None:
    """Installed version of a package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def place(name: str, result: dict[str, Any]) -> Path:
    """Default path of a result: `results/<date>-<name>-<cores>cores.json`, or `-gpu.json`."""
    kind = "gpu" if result["machine"]["gpu"] else f"{result['machine']['cores']}cores"
    return RESULTS / f"{result['date']}-{name}-{kind}.json"


def write(result: dict[str, Any], out: Path) -> str:
    """Write a result as JSON; returns the text."""
    text = json.dumps(result, indent=2)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text + "\n", "utf-8")
    return text


def report(name: str, result: dict[str, Any], out: Path | None = None) -> None:
    """Print a result as JSON and write it to `out`, by default to `place`; the table of results is then updated."""
    out = out or place(name, result)
    print(write(result, out))
    if out.resolve().parent == RESULTS.resolve():
        results_table.write()
    print(f"written to {out}", file=sys.stderr)
