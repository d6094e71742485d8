"""`cancernet doctor` on a sound and on broken set-ups."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cancernet_cli.core import models
from cancernet_cli.core.cards import WEIGHTS_FILE
from cancernet_cli.core.machine import devices
from cancernet_cli.engine.doctor import installation, machine
from cancernet_cli.engine.doctor.findings import Finding
from cancernet_cli.engine.doctor.run import doctor


def findings() -> dict[str, Finding]:
    return {finding.name: finding for finding in doctor(self_test=False)}


@pytest.fixture(autouse=True)
def sound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CANCERNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_sound_machine() -> None:
    found = findings()
    assert not [finding for finding in found.values() if finding.state == "problem"]
    assert found["cache"].state == found["model breakhis_lite0"].state == found["packages"].state == "ok"
    assert not list((Path.cwd() / "cache").iterdir())  # nothing is left


def test_the_self_test_classifies(tmp_path: Path) -> None:
    last = doctor()[-1]
    assert (last.name, last.state) == ("self-test", "ok")
    assert last.found.startswith("8 images with breakhis_lite0 in ")


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANCERNET_CACHE", "/proc/none")
    found = findings()["cache"]
    assert found.state == "problem"
    assert "set CANCERNET_CACHE to another folder" in found.fix


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil._ntuple_diskusage(10**12, 10**12 - 10**6, 10**6)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda folder: full)
    found = findings()
    assert {name for name, one in found.items() if one.state == "problem"} == {
        "cache", "temporary files", "current folder",
    }  # fmt: skip
    assert "1 MB free" in found["cache"].found


def test_a_driver_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_build", lambda: {"__version__": "2.14.1", "cuda": "13.0"})
    monkeypatch.setattr(devices, "_driver", lambda: 803)
    found = findings()["GPU"]
    assert found.state == "problem"
    assert "CUDA error 803" in found.found
    monkeypatch.setattr(devices, "_driver", lambda: None)
    assert findings()["GPU"].state == "note"  # a machine without a GPU is sound


def test_a_changed_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy = tmp_path / "models"
    shutil.copytree(models.bundled_models_folder(), copy, ignore=shutil.ignore_patterns("evaluation", "*.parquet"))
    weights = copy / "tnbc_unet" / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    monkeypatch.setattr(models, "bundled_models_folder", lambda: copy)
    found = findings()
    assert found["model tnbc_unet"].state == "problem"
    assert found["model breakhis_lite0"].state == "ok"


def test_a_missing_package_and_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["numpy>=1", "nowhere-to-be-found>=2", "nncf; extra == 'int8'", "also-nowhere>1; extra == 'cloud'"]
    monkeypatch.setattr(installation, "requires", lambda package: lines)
    found = findings()
    assert found["packages"] == Finding(
        "packages", "problem", "missing: nowhere-to-be-found", "run `pip install nowhere-to-be-found`"
    )
    assert found["extras"].state == "note"
    assert 'pip install "cancernet[cloud]"' in found["extras"].fix


def test_few_open_files(few_descriptors: None) -> None:
    assert findings()["open files"].state == "problem"


def test_without_shared_memory_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.Path, "is_dir", lambda path: str(path) != "/dev/shm")
    assert machine._shared_memory().state == "note"
