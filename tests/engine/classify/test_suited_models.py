"""A run names the bundled model for its files, if the chosen one is for others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from cancernet_cli import ClassifyOptions
from cancernet_cli.core import models
from cancernet_cli.core.cards import Use, read_card, write_card
from cancernet_cli.core.events import Event, Note
from cancernet_cli.core.models import find_model, is_for
from cancernet_cli.engine.classify.run import dry_run
from tests.he_images import he_like
from tests.slide_files import tissue_slide, write_tiled
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_tiled(folder / "slide.tif", tissue_slide(600, 400), mpp=0.5)
    Image.fromarray(he_like(0, 64, 64)).save(folder / "photo.png")
    return folder


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model for photos, one for slides, and one whose card says neither."""
    for name, suits in (("photo_model", "images"), ("slide_model", "slides"), ("unsaid", "")):
        folder = write_tiny_model(tmp_path / "bundled" / name)
        write_card(replace(read_card(folder), use=Use(suits=suits)), folder)  # type: ignore[arg-type]
    monkeypatch.setattr(models, "bundled_models_folder", lambda: tmp_path / "bundled")
    return tmp_path / "bundled"


def notes(data: Path, model: Path | str) -> list[str]:
    said: list[Event] = []
    dry_run(str(data), ClassifyOptions(model=str(model), out=Path("nowhere.parquet")), said.append)
    return [event.message for event in said if isinstance(event, Note)]


def test_the_model_for_slides_is_named_for_slides_only(files: Path, bundled: Path) -> None:
    line = "is not made for slides; for slides, use --model slide_model"
    for name in ("photo_model", "unsaid"):
        assert notes(files / "slide.tif", bundled / name) == [f"{name} {line}"]
        assert notes(files, bundled / name) == [f"{name} {line}"]
        assert notes(files / "photo.png", bundled / name) == []
    assert notes(files / "slide.tif", bundled / "slide_model") == []


def test_the_model_for_photos_is_named_for_photos_only(files: Path, bundled: Path) -> None:
    line = "slide_model is made for slides and the tiles cut from them; for photos, use --model photo_model"
    assert notes(files / "photo.png", bundled / "slide_model") == [line]
    assert notes(files, bundled / "slide_model") == [line]


def test_a_model_that_knows_its_resolution_is_taken_to_be_for_slides(files: Path, bundled: Path) -> None:
    card = read_card(bundled / "unsaid")
    write_card(replace(card, input=replace(card.input, mpp=0.5)), bundled / "unsaid")
    assert notes(files, bundled / "unsaid") == []


def test_nothing_is_said_where_no_bundled_model_is_for_slides(files: Path, bundled: Path) -> None:
    (bundled / "slide_model" / "card.toml").unlink()
    assert notes(files, bundled / "photo_model") == []


def test_the_default_model_is_for_photos() -> None:
    card = read_card(find_model(models.DEFAULT_MODEL))
    assert is_for(card, "image")
    assert not is_for(card, "slide")
