"""Fixtures for every room; no test reaches the network."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.he_images import he_like


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets connect to nothing but this machine's own files, which DataLoader workers need."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family != getattr(socket, "AF_UNIX", None):
            raise AssertionError(f"a test tried to reach {address!r}")
        connect(self, address)

    def refuse_name(host: Any, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"a test tried to find {host!r}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse_name)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for all tests, and not the user's; a model is converted once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANCERNET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    """Eight small images with BreakHis names in class folders: four patients, two magnifications, three formats."""
    root = tmp_path / "tiny"
    names = [
        "benign/SOB_B_A-14-22549AB-40-001.png",
        "benign/SOB_B_A-14-22549CD-100-001.jpg",
        "benign/SOB_B_F-14-9133-40-001.png",
        "benign/SOB_B_F-14-9133-100-001.tif",
        "malignant/SOB_M_DC-14-2523-40-001.png",
        "malignant/SOB_M_DC-14-2523-100-001.jpg",
        "malignant/SOB_M_PC-15-190EF-40-001.png",
        "malignant/SOB_M_PC-15-190EF-100-001.png",
    ]
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(he_like(seed)).save(path)
    return root


@pytest.fixture
def real_data() -> Path:
    """The folder with real images (breakhis/ and more) that CANCERNET_DATA names."""
    folder = os.environ.get("CANCERNET_DATA")
    if not folder:
        pytest.skip("CANCERNET_DATA names no folder with real images")
    return Path(folder)
