"""A model of small patches on slides: each tile is such a patch, enlarged as in training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from cancernet_cli import classify
from cancernet_cli.core.cards import read_card, write_card
from cancernet_cli.engine.tile import tile
from cancernet_cli.outputs.pictures.files import write_png
from tests.slide_files import levels_of, tissue_slide, write_tiled
from tests.tiny_model import write_tiny_model

PATCH_PX, MPP = 25, 4.0


@pytest.fixture(scope="module", params=["grid", "resize"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views of 64 x 64, of patches of 25 x 25 pixels at 4 um."""
    folder = write_tiny_model(tmp_path_factory.mktemp("models") / "patches", view=request.param, segmenter="none")
    card = read_card(folder)
    policy = replace(card.input, mpp=MPP, tile_width_px=PATCH_PX, tile_height_px=PATCH_PX)
    write_card(replace(card, input=policy), folder)
    return folder


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """0.5 um per pixel at level 0: `exact` has a level of 4 um, `between` has levels of 2 and 8 um."""
    folder = tmp_path_factory.mktemp("slides")
    picture = tissue_slide(2400, 1600)
    write_tiled(folder / "exact.tif", picture, factors=(4, 8), mpp=0.5)
    write_tiled(folder / "between.tif", picture, factors=(4, 16), mpp=0.5)
    return folder


def tiles_of(inputs: Path, model: Path, out: Path, **options: Any) -> dict[str, list[dict[str, Any]]]:
    result = classify(inputs, out=out, model=str(model), workers=0, **options)
    assert result.tiles_file is not None
    found: dict[str, list[dict[str, Any]]] = {}
    for row in pq.read_table(result.tiles_file).to_pylist():
        found.setdefault(row["slide"], []).append(row)
    return found


def test_a_tile_is_classified_like_the_patch_of_its_pixels(slides: Path, model: Path, tmp_path: Path) -> None:
    """From the level of 4 um, or by area averaging of the next finer one, never from a coarser one."""
    tiles = tiles_of(slides, model, tmp_path / "slides.parquet")
    levels = levels_of(tissue_slide(2400, 1600), (8, 4))
    for name, rows in tiles.items():
        photos = tmp_path / name
        photos.mkdir()
        inside = [row for row in rows if row["x"] + 200 <= 2400 and row["y"] + 200 <= 1600][::3]
        for i, row in enumerate(inside):
            assert (row["width_px"], row["height_px"], row["mpp"]) == (200, 200, 4.0)
            y, x = row["y"] // 8, row["x"] // 8
            patch = levels[0][y : y + PATCH_PX, x : x + PATCH_PX]
            if name == "between.tif":
                finer = levels[1][2 * y : 2 * (y + PATCH_PX), 2 * x : 2 * (x + PATCH_PX)]
                patch = np.asarray(cv2.resize(finer, (PATCH_PX, PATCH_PX), interpolation=cv2.INTER_AREA), np.uint8)
            write_png(patch, photos / f"{i:03d}.png")
        result = classify(photos, out=tmp_path / f"{name}.parquet", model=str(model), workers=0)
        alone = pq.read_table(result.out).sort_by("path").to_pylist()
        assert len(inside) > 5
        for column in ("prob_malignant", "blur", "brightness"):
            assert [row[column] for row in alone] == [row[column] for row in inside]


def test_cut_tiles_are_the_patches_themselves(slides: Path, model: Path, tmp_path: Path) -> None:
    """So that a folder of them can be classified or trained on."""
    result = tile(slides / "exact.tif", out=tmp_path / "cut", model=str(model), images=True)
    row = result.rows[0]
    assert (row["tile_width_px"], row["view_width_px"], row["tile_mpp"]) == (200, PATCH_PX, 4.0)
    pictures = sorted((tmp_path / "cut").rglob("x*_y*.png"))
    assert len(pictures) == result.tiles > 5
    assert {cv2.imread(str(path)).shape for path in pictures} == {(PATCH_PX, PATCH_PX, 3)}
    table = classify(tmp_path / "cut" / "exact.tif.tiles", out=tmp_path / "cut.parquet", model=str(model), workers=0)
    cut = sorted(row["prob_malignant"] for row in pq.read_table(table.out).to_pylist())
    read = tiles_of(slides / "exact.tif", model, tmp_path / "slides.parquet")["exact.tif"]
    assert cut == sorted(row["prob_malignant"] for row in read)


def test_a_slide_of_unknown_resolution_is_taken_for_one_of_the_patches(model: Path, tmp_path: Path) -> None:
    write_tiled(tmp_path / "unknown.tif", tissue_slide(900, 600), mpp=None)
    rows = tiles_of(tmp_path / "unknown.tif", model, tmp_path / "p.parquet", tissue="none")["unknown.tif"]
    assert {(row["width_px"], row["mpp"]) for row in rows} == {(PATCH_PX, 4.0)}


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"runtime": "openvino"}, {"runtime": "torch"}, {"precision": "int8"}])
def test_runtimes_and_precisions_get_the_same_views(
    slides: Path, model: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    usual = tiles_of(slides, model, tmp_path / "a.parquet")["exact.tif"]
    other = tiles_of(slides, model, tmp_path / "b.parquet", **options)["exact.tif"]
    difference = [abs(a["prob_malignant"] - b["prob_malignant"]) for a, b in zip(usual, other, strict=True)]
    assert max(difference) < (0.1 if "precision" in options else 1e-3)
