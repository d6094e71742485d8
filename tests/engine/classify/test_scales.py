"""A model with a scale for each magnification: what is known about an image decides how it is seen."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from cancernet_cli import classify
from cancernet_cli.core.cards import read_card, write_card
from tests.he_images import he_like
from tests.tiny_model import write_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = write_tiny_model(tmp_path / "scaled", view="grid")
    card = read_card(folder)
    scales, sizes = {"40": 1.0, "400": 0.25}, {"40": 0.49, "400": 0.05}
    write_card(replace(card, input=replace(card.input, scale=0.5, scales=scales, magnification_mpp=sizes)), folder)
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """One picture under three names, as PNG."""
    folder = tmp_path / "images"
    folder.mkdir()
    written = io.BytesIO()
    Image.fromarray(he_like(1, 256, 192)).save(written, "PNG")
    for name in ("SOB_B_A-14-22549AB-40-001.png", "SOB_B_A-14-22549AB-400-001.png", "field.png"):
        (folder / name).write_bytes(written.getvalue())
    return folder


def rows(inputs: Path, out: Path, model: Path, **options: Any) -> list[dict[str, Any]]:
    given: dict[str, Any] = {"device": "cpu", "workers": 0, "runtime": "torch"} | options
    classify(inputs, out=out, model=str(model), **given)
    return pq.read_table(out).to_pylist()


def test_the_name_decides_whatever_the_source_of_labels(tmp_path: Path, images: Path, model: Path) -> None:
    found = rows(images, tmp_path / "a.parquet", model)
    assert [row["views"] for row in found] == [20, 1, 6]  # of 256 x 192, 64 x 48 and 128 x 96 pixels
    assert len({row["prob_malignant"] for row in found}) == 3
    for labels in ("none", "folders"):
        others = rows(images, tmp_path / f"{labels}.parquet", model, labels=labels)
        assert [row["prob_malignant"] for row in others] == [row["prob_malignant"] for row in found]


def test_a_manifest_that_changes_is_noticed(tmp_path: Path, images: Path, model: Path) -> None:
    manifest, out = tmp_path / "images.csv", tmp_path / "a.parquet"

    def write(magnification: str) -> None:
        manifest.write_text(f"path,magnification\nimages/field.png,{magnification}\n")

    write("40X")
    (first,) = rows(manifest, out, model)
    write("400X")
    (second,) = rows(manifest, out, model)
    assert (first["views"], second["views"]) == (20, 1)


def test_overlays_and_shrunk_jpegs_follow(tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "jpegs"
    folder.mkdir()
    Image.fromarray(he_like(1, 512, 384)).save(folder / "SOB_B_A-14-22549AB-400-001.jpg", quality=95)
    options: dict[str, Any] = {"jpeg_scale": "auto", "overlays": tmp_path / "overlays", "masks": tmp_path / "masks"}
    (row,) = rows(folder, tmp_path / "a.parquet", model, **options)
    assert (row["width_px"], row["height_px"], row["views"]) == (512, 384, 6)
    (mask,) = (tmp_path / "masks").rglob("*.png")
    assert Image.open(mask).size == (512, 384)
