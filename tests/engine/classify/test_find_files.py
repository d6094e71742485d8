"""What a run says about its inputs before it classifies them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cancernet_cli import classify
from cancernet_cli.core.events import Event, Note, Warn
from cancernet_cli.core.options import ClassifyOptions
from tests.he_images import he_like
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny", view="grid")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    from PIL import Image

    folder = tmp_path / "data"
    for name in ("train/benign/a.png", "test/malignant/b.png"):
        (folder / name).parent.mkdir(parents=True)
        Image.fromarray(he_like(len(name), 96, 96)).save(folder / name)
    return folder


def said(folder: Path, model: Path, **options: Any) -> tuple[Any, list[Event]]:
    events: list[Event] = []
    chosen = {"model": str(model), "device": "cpu", "workers": 0, "runtime": "torch", **options}
    return classify(str(folder), ClassifyOptions(**chosen), report=events.append), events


def warnings(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Warn)]


def test_the_next_run_passes_over_what_this_one_wrote(images: Path, model: Path) -> None:
    sinks = {"overlays": images / "overlays", "masks": images / "deep" / "masks"}
    result, _ = said(images, model, out=images / "p.parquet", **sinks)
    assert (images / "overlays" / ".cancernet-output").is_file()
    assert len(list((images / "overlays").rglob("*.jpg"))) == 2
    assert not (images / "p.parquet.partial").exists()
    again, events = said(images, model, out=images / "q.parquet")
    assert (result.files, again.files) == (2, 2)
    found = [event.message for event in events if isinstance(event, Note)]
    ours = "passed over 2 folders that CancerNet wrote, "
    assert any(words.startswith(ours) for words in found), found


def test_a_folder_with_other_files_gets_no_marker_but_a_warning(images: Path, model: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    shutil.copy(images / "train" / "benign" / "a.png", mine)
    _, events = said(images, model, out=tmp_path / "p.parquet", overlays=mine)
    assert not (mine / ".cancernet-output").exists()
    assert f"--overlays writes to {mine}, which has other files" in " ".join(warnings(events))


def test_options_without_effect_are_named(images: Path, model: Path, tmp_path: Path) -> None:
    options = {"mpp": 0.5, "min_tissue": 0.5, "top_k": 3, "geojson_regions": "merged", "heatmaps": tmp_path / "h"}
    _, events = said(images, model, out=tmp_path / "p.parquet", **options)
    found = warnings(events)
    assert any(words.startswith("--heatmaps writes files for slides only") for words in found)
    flags = next(words for words in found if words.startswith("no effect of --"))
    assert all(flag in flags for flag in ("--mpp", "--min-tissue", "--top-k"))
    assert flags.endswith(": there are no slides among the inputs")
    assert "no effect of --geojson-regions without --geojson" in found
    assert not (tmp_path / "h").exists()


def test_defaults_are_not_warned_of_and_train_with_test_is(images: Path, model: Path, tmp_path: Path) -> None:
    _, events = said(images, model, out=tmp_path / "p.parquet")
    expected = "the metrics cover test and train folders together; to test a model, classify only held-out images"
    assert warnings(events) == [expected]
    _, events = said(images / "test", model, out=tmp_path / "q.parquet")
    assert warnings(events) == []
