"""What a measurement has to carry: the machine, its versions, how busy it was, the day."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from cancernet_cli import __version__
from cancernet_cli.core.system import available_cores, package_versions, processor

PACKAGES = ("torch", "openvino", "torchvision", "timm", "numpy", "opencv-python-headless", "imagecodecs", "simplejpeg")


def machine_facts() -> dict[str, Any]:
    """Processor, cores, memory, GPU, system, and the load of the last minute."""
    return {
        "processor": processor(),
        "cores": available_cores(),
        "memory_bytes": _memory_bytes(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def version_facts() -> dict[str, str]:
    """Versions of what the figures depend on."""
    return {"cancernet": __version__, "python": platform.python_version(), **package_versions(*PACKAGES)}


def call_facts() -> dict[str, str]:
    """When and how this was called."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
