"""A finished table of slides that got more files: what is unchanged is taken over, with its tiles."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from cancernet_cli import classify
from cancernet_cli.core.events import Event, Note
from cancernet_cli.core.records import RunResult
from cancernet_cli.data.loading import slides as loading_slides
from tests.slide_files import tissue_slide, write_svs, write_tiled
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


def bytes_of(result: RunResult) -> tuple[bytes, bytes]:
    assert result.tiles_file is not None
    return result.out.read_bytes(), result.tiles_file.read_bytes()


def test_only_new_slides_are_read_and_the_tables_are_those_of_a_new_run(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slides, out = tmp_path / "slides", tmp_path / "p.parquet"
    slides.mkdir()
    picture = tissue_slide(600, 400)
    write_svs(slides / "b.svs", picture, mpp="0.5")
    classify(slides, out=out, model=model, workers=0)
    os.utime(slides / "b.svs", ns=(1, 1))  # the same content, as after copying
    write_tiled(slides / "a.tif", picture, mpp=0.5)
    (slides / "bad.svs").write_bytes((slides / "b.svs").read_bytes()[:3000])
    fresh = classify(slides, out=tmp_path / "fresh.parquet", model=model, workers=0)

    read = loading_slides.shared_slide

    def only_new(location: bytes) -> object:
        if location.endswith(b"b.svs"):
            os.kill(os.getpid(), signal.SIGKILL)
        return read(location)

    monkeypatch.setattr(loading_slides, "shared_slide", only_new)
    told: list[Event] = []
    extended = classify(slides, out=out, model=model, workers=0, report=told.append)
    assert (extended.files, extended.reused) == (3, 1)
    assert any("the rows of 1 unchanged file are reused" in e.message for e in told if isinstance(e, Note))
    assert bytes_of(extended) == bytes_of(fresh)
    monkeypatch.setattr(loading_slides, "shared_slide", read)
    (slides / "a.tif").unlink()
    fewer = classify(slides, out=out, model=model, workers=0)
    assert bytes_of(fewer) == bytes_of(classify(slides, out=tmp_path / "two.parquet", model=model, workers=0))
