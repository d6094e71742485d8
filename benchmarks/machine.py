"""What a figure has to carry: the machine, the versions, the command, the day."""

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
    "simplejpeg",
    "tifffile",
)
LOAD_BEFORE = [round(load, 2) for load in os.getloadavg()]  # of 1, 5 and 15 minutes, before anything is run here
RESULTS = results_table.RESULTS


def facts() -> dict[str, Any]:
    """Machine, versions and command of this process."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "command": command(),
        "machine": {
            "processor": processor(),
            "cores": cores(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            "gpu": gpu(),
            "system": platform.platform(),
            "load_before": LOAD_BEFORE,
        },
        "versions": {"python": platform.python_version(), **{name: installed(name) for name in PACKAGES}},
    }


def command() -> str:
    """How this script was called; the folder of real data under the name of its variable."""
    words = shlex.join(["python", *sys.orig_argv[1:]])
    data = os.environ.get("CANCERNET_DATA")
    return words.replace(data.rstrip("/"), "$CANCERNET_DATA") if data else words


def processor() -> str:
    """The processor's name as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpu() -> str | None:
    """The first CUDA device's name."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def installed(package: str) -> str | None:
    """The version of a package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def place(name: str, result: dict[str, Any]) -> Path:
    """Where a result goes if nobody says otherwise: `results/<date>-<name>-<cores>cores.json`, or `-gpu.json`."""
    kind = "gpu" if result["machine"]["gpu"] else f"{result['machine']['cores']}cores"
    return RESULTS / f"{result['date']}-{name}-{kind}.json"


def write(result: dict[str, Any], out: Path) -> str:
    """Write a result, and give what was written."""
    text = json.dumps(result, indent=2)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text + "\n", "utf-8")
    return text


def report(name: str, result: dict[str, Any], out: Path | None = None) -> None:
    """Print a result as JSON, and write it to `out` or where `place` says; there, the table of results is made anew."""
    out = out or place(name, result)
    print(write(result, out))
    if out.resolve().parent == RESULTS.resolve():
        results_table.write()
    print(f"written to {out}", file=sys.stderr)
