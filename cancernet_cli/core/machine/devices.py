"""Check a device by its name, and say what is missing for CUDA, without loading PyTorch, which takes seconds."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
from pathlib import Path

from cancernet_cli.core.errors import DeviceError

_DEVICE = re.compile(r"(auto|cpu|mps|cuda)(:\d+)?")
_FOUND = 0
_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
_LINE = re.compile(r"^(__version__|cuda|hip)\b[^=]*= *'([^']*)'", re.MULTILINE)


def check_device(name: str) -> None:
    """Check the name, and for cuda the PyTorch build and the driver.

    Raises:
        DeviceError: there is no such device.
    """
    if not _DEVICE.fullmatch(name):
        known = "auto, cpu, cuda, cuda:N or mps"
        meant = f"use cuda for an NVIDIA GPU, or one of {known}" if name.startswith("gpu") else f"use {known}"
        raise DeviceError(f"unknown device {name!r}", fix=meant)
    if name.startswith("cuda"):
        build = _build()
        if not build.get("hip"):  # AMD's PyTorch calls its devices cuda too
            _check_cuda(build)


def _check_cuda(build: dict[str, str]) -> None:
    version = build.get("__version__", "?")
    if not build.get("cuda"):
        raise DeviceError(
            f"no CUDA device found: PyTorch {version} is built without CUDA",
            fix="install a CUDA build of PyTorch (https://pytorch.org/get-started), or use --device cpu",
        )
    made_for = f"(PyTorch {version}, built for CUDA {build['cuda']})"
    status = _driver()
    if status is None:
        raise DeviceError(
            f"no CUDA device found: no NVIDIA driver is installed {made_for}",
            fix="install an NVIDIA driver, start a container with --gpus all, or use --device cpu",
        )
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if status != _FOUND and visible is not None:
        raise DeviceError(
            f"no CUDA device found: CUDA_VISIBLE_DEVICES is {visible!r} {made_for}",
            fix="unset it or name a device that nvidia-smi lists, or use --device cpu",
        )
    if status == _NO_DEVICE:
        raise DeviceError(
            f"no CUDA device found: there is an NVIDIA driver, but no GPU that it can use {made_for}",
            fix="see whether nvidia-smi lists a GPU, start a container with --gpus all, or use --device cpu",
        )
    if status != _FOUND:
        raise DeviceError(
            f"no CUDA device found: the NVIDIA driver does not start (CUDA error {status}) {made_for}",
            fix="see what nvidia-smi says; a driver that was just updated needs a restart; or use --device cpu",
        )


def _build() -> dict[str, str]:
    """`__version__`, `cuda` and `hip` of the installed PyTorch, those that it has."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return {}
    try:
        return dict(_LINE.findall(Path(found.origin).with_name("version.py").read_text("utf-8")))
    except OSError:
        return {}


def _driver() -> int | None:
    """0 if the CUDA driver finds a GPU, its error code if not, or None without a driver."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        count = ctypes.c_int(0)
        status = int(driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)))
        return status if status or count.value else _NO_DEVICE
    return None
