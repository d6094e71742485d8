"""Looking into files whose names do not tell what they are: whatever happens to the worker, every file stays."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.discovery import kinds
from cancernet_cli.data.discovery.discover import discover
from cancernet_cli.data.discovery.endings import registered_endings
from cancernet_cli.data.slides import kinds as slide_kinds


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., dict[str, FoundFile]]:
    for name in ("a.tif", "b.tif", "c.tif", "d.png"):
        (tmp_path / name).write_bytes(b"II*\0")

    def find(timeout_s: float = 60) -> dict[str, FoundFile]:
        files = discover([str(tmp_path)], base=tmp_path, labels="none", classes=(), kind="auto", timeout_s=timeout_s)
        return {file.path: file for file in files}

    return find


def at_b(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    def kind_of(location: bytes) -> str:
        if location.endswith(b"b.tif"):
            act()
        return "slide"

    monkeypatch.setattr(slide_kinds, "kind_of", kind_of)


def exhaust() -> None:
    bytearray(8 * 1024**3)


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (exhaust, "MemoryError"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "WorkerDied"),
        (lambda: time.sleep(600), "TimedOut"),
    ],
)
def test_what_happens_at_one_file_is_its_problem_alone(
    found: Callable[..., dict[str, FoundFile]],
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[], object],
    error: str,
) -> None:
    at_b(monkeypatch, act)
    files = found(timeout_s=2)
    assert {name: file.kind for name, file in files.items()} == {
        "a.tif": "slide",
        "b.tif": "image",
        "c.tif": "slide",
        "d.png": "image",
    }
    problems = {name: file.problem for name, file in files.items() if file.problem is not None}
    assert list(problems) == ["b.tif"]
    assert isinstance(problems["b.tif"], Failure)
    assert (problems["b.tif"].stage, problems["b.tif"].error) == ("discover", error)


def test_a_file_whose_parser_fails_is_left_to_the_readers(
    found: Callable[..., dict[str, FoundFile]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise TypeError("'>' not supported between instances of 'str' and 'int'")

    at_b(monkeypatch, fail)
    files = found()
    assert (files["b.tif"].kind, files["b.tif"].problem) == ("image", None)
    assert [files[name].kind for name in ("a.tif", "c.tif")] == ["slide", "slide"]


def test_images_that_are_named_so_need_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "load_batches", None)
    files = [FoundFile(f"{i}.jpg", os.fsencode(tmp_path / f"{i}.jpg"), 1, 1) for i in range(1000)]
    assert list(kinds.with_kinds(files, "auto", registered_endings())) == files


def test_order_and_parts_of_slides(tmp_path: Path) -> None:
    (tmp_path / "scan.vms").write_text("[Virtual Microscope Specimen]\nImageFile=part.jpg\n")
    for name in ("part.jpg", "photo.jpg", "x.tif"):
        (tmp_path / name).write_bytes(b"")
    files = [
        FoundFile(name, os.fsencode(tmp_path / name), 1, 1) for name in ("x.tif", "part.jpg", "photo.jpg", "scan.vms")
    ]
    found = list(kinds.with_kinds(files, "auto", registered_endings()))
    assert [(file.path, file.kind) for file in found] == [
        ("x.tif", "image"),
        ("photo.jpg", "image"),
        ("scan.vms", "slide"),
    ]
