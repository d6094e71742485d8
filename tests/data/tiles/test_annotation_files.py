"""Which annotations belong to a slide: a list's column, or the file beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cancernet_cli.core.errors import InputError
from cancernet_cli.data.tiles.annotation_files import find_annotations


def found(folder: Path, *lists: Path) -> dict[str, str]:
    slides = [os.fsencode(folder / f"{name}.svs") for name in "abcd"]
    files = find_annotations(slides, lists, folder)
    return {Path(os.fsdecode(slide)).stem: str(file.relative_to(folder)) for slide, file in files.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "drawn").mkdir()
    for name in ("a.geojson", "b.svs.geojson", "c.geojson", "drawn/a.json"):
        (tmp_path / name).touch()
    return tmp_path


def test_the_file_beside_a_slide_is_found_by_either_name(folder: Path) -> None:
    assert found(folder) == {"a": "a.geojson", "b": "b.svs.geojson", "c": "c.geojson"}


def test_a_list_decides_for_the_slides_that_it_holds(folder: Path) -> None:
    file = folder / "list.csv"
    file.write_text("path,label,annotations\na.svs,benign,drawn/a.json\nb.svs,benign,\n")
    assert found(folder, file) == {"a": "drawn/a.json", "c": "c.geojson"}


def test_a_list_without_the_column_decides_nothing(folder: Path) -> None:
    file = folder / "list.csv"
    file.write_text("path,label\na.svs,benign\n")
    assert found(folder, file) == found(folder)


def test_a_file_that_a_list_names_must_be_there(folder: Path) -> None:
    file = folder / "list.csv"
    file.write_text("path,annotations\na.svs,gone.geojson\n")
    with pytest.raises(InputError, match=r"list\.csv line 2, column 'annotations': .*gone\.geojson does not exist; "):
        found(folder, file)
