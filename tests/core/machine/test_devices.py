"""What is missing for a device is said before PyTorch is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from cancernet_cli.core.errors import DeviceError
from cancernet_cli.core.machine import devices
from cancernet_cli.core.machine.devices import check_device

CUDA = {"__version__": "2.14.1+cu130", "cuda": "13.0"}


@pytest.mark.parametrize("name", ["auto", "cpu", "mps"])
def test_names_of_devices(name: str) -> None:
    check_device(name)


@pytest.mark.parametrize(("name", "hint"), [("gpu", "use cuda for an NVIDIA GPU"), ("cuda:x", "use auto"), ("", "use")])
def test_other_names_are_refused(name: str, hint: str) -> None:
    with pytest.raises(DeviceError, match=f"unknown device '{name}'") as error:
        check_device(name)
    assert error.value.fix.startswith(hint)


@pytest.mark.parametrize(
    ("build", "driver", "visible", "message"),
    [
        ({"__version__": "2.14.1+cpu"}, 0, None, "PyTorch 2.14.1+cpu is built without CUDA"),
        (CUDA, None, None, "no NVIDIA driver is installed (PyTorch 2.14.1+cu130, built for CUDA 13.0)"),
        (CUDA, 100, None, "there is an NVIDIA driver, but no GPU that it can use"),
        (CUDA, 100, "", "CUDA_VISIBLE_DEVICES is ''"),
        (CUDA, 803, None, "the NVIDIA driver does not start (CUDA error 803)"),
    ],
)
def test_what_is_missing_for_cuda(
    monkeypatch: pytest.MonkeyPatch, build: dict[str, str], driver: int | None, visible: str | None, message: str
) -> None:
    monkeypatch.setattr(devices, "_build", lambda: build)
    monkeypatch.setattr(devices, "_driver", lambda: driver)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(DeviceError) as error:
        check_device("cuda:0")
    assert error.value.message.startswith(f"no CUDA device found: {message}")
    assert error.value.fix.endswith("use --device cpu")


@pytest.mark.parametrize(("build", "driver"), [(CUDA, 0), ({"__version__": "2.14.1", "hip": "6.4"}, None)])
def test_a_device_that_is_there(monkeypatch: pytest.MonkeyPatch, build: dict[str, str], driver: int | None) -> None:
    monkeypatch.setattr(devices, "_build", lambda: build)
    monkeypatch.setattr(devices, "_driver", lambda: driver)
    check_device("cuda")


def test_the_build_is_that_of_the_installed_pytorch() -> None:
    found = devices._build()
    assert found["__version__"] == torch.__version__
    assert found.get("cuda") == torch.version.cuda


@pytest.mark.parametrize("arguments", [["bench", "--device", "gpu"], ["classify", "/nowhere"], ["finetune"]])
def test_mistakes_are_told_without_loading_pytorch(arguments: list[str]) -> None:
    code = f"""
import sys
from cancernet_cli.cli.app import main
try:
    main({arguments!r})
except SystemExit as left:
    assert left.code in (2, 3, 5), left.code
assert not {{"torch", "pyarrow", "cv2", "numpy"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
