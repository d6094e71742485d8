"""Slides among images: one row each, tiles that are what photos of the same pixels are, and damage that stays small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile

from cancernet_cli import classify
from cancernet_cli.core import interruption
from cancernet_cli.core.errors import CancernetError, InputError, OutputError
from cancernet_cli.core.events import Event, Warn
from cancernet_cli.core.files import OUTPUT_MARKER
from cancernet_cli.core.records import RunResult
from cancernet_cli.engine.classify.pending import Hooks
from cancernet_cli.outputs.tables.parts import BatchOutcome
from tests.he_images import he_like
from tests.slide_files import GLASS, tissue_slide, write_ome, write_svs, write_tiled
from tests.tiny_model import write_tiny_model

Run = Callable[..., RunResult]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views of 64 x 64; its card names neither mpp nor magnification, so slides are cut at 0.5 um."""
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good slides, a slide of glass, two images, and files that are no good."""
    folder = tmp_path_factory.mktemp("mixed")
    picture = tissue_slide(900, 600)
    (folder / "malignant").mkdir()
    write_tiled(folder / "malignant" / "a.tif", tissue_slide(1800, 1200), mpp=0.25)
    write_svs(folder / "b.svs", picture, mpp="0.5")
    write_ome(folder / "c.ome.tif", picture, mpp=None)
    write_tiled(folder / "glass.tif", np.full((500, 500, 3), GLASS, np.uint8), mpp=0.5)
    for name in ("photo.png", "malignant/photo.tif", "called_a_slide.svs"):
        kind = {".png": ".png", ".tif": ".tif", ".svs": ".png"}[Path(name).suffix]
        _, content = cv2.imencode(kind, he_like(len(name), 150, 100))
        (folder / name).write_bytes(content.tobytes())
    whole = (folder / "b.svs").read_bytes()
    (folder / "truncated.svs").write_bytes(whole[: len(whole) // 3])
    (folder / "text.ndpi").write_text("not a slide")
    (folder / "alone.mrxs").write_bytes(b"\xff\xd8\xff\xe0" + b"x" * 500)
    (folder / "notes.txt").write_text("not for us")
    return folder


@pytest.fixture
def run(tmp_path: Path, model: Path) -> Run:
    def classified(inputs: Any, **options: Any) -> RunResult:
        options = {"out": tmp_path / "out" / "p.parquet", "model": str(model), "workers": 0} | options
        return classify(inputs, **options)

    return classified


def rows_of(result: RunResult) -> dict[str, dict[str, Any]]:
    rows = pq.read_table(result.out).to_pylist()
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    return {row["path"]: row for row in rows}


def tiles_of(result: RunResult, slide: str) -> list[dict[str, Any]]:
    assert result.tiles_file is not None
    return [row for row in pq.read_table(result.tiles_file).to_pylist() if row["slide"] == slide]


def bytes_of(result: RunResult) -> tuple[bytes, bytes]:
    assert result.tiles_file is not None
    return result.out.read_bytes(), result.tiles_file.read_bytes()


def test_every_file_has_one_row_with_its_kind_and_status(folder: Path, run: Run) -> None:
    told: list[Event] = []
    result = run(folder, report=told.append)
    rows = rows_of(result)
    assert {path: (row["kind"], row["status"]) for path, row in rows.items()} == {
        "alone.mrxs": ("slide", "failed"),
        "b.svs": ("slide", "ok"),
        "c.ome.tif": ("slide", "ok"),
        "called_a_slide.svs": ("image", "ok"),
        "glass.tif": ("slide", "failed"),
        "malignant/a.tif": ("slide", "ok"),
        "malignant/photo.tif": ("image", "ok"),
        "photo.png": ("image", "ok"),
        "text.ndpi": ("slide", "failed"),
        "truncated.svs": ("slide", "failed"),
    }
    assert (result.files, result.slides, result.ok, result.failed) == (10, 7, 6, 4)
    assert rows["glass.tif"]["error"] == "tile: NoTissue: no tissue was found (--tissue none tiles the whole slide)"
    glass = rows["glass.tif"]
    assert (glass["width_px"], glass["mpp"], glass["tiles"], glass["flags"]) == (500, 0.5, 0, "no_tissue")
    assert rows["alone.mrxs"]["error"].startswith("open: MissingCompanion: ")
    assert rows["text.ndpi"]["error"].startswith("open: NotASlide: ")
    assert rows["truncated.svs"]["error"].startswith("open: ")
    a = rows["malignant/a.tif"]
    assert (a["width_px"], a["height_px"], a["mpp"], a["mpp_source"]) == (1800, 1200, 0.25, "tiff_resolution")
    assert (a["true_label"], a["flags"], a["views"]) == ("malignant", "", None)
    assert rows["photo.png"]["tiles"] is None
    assert rows["photo.png"]["flags"] == ""
    c = rows["c.ome.tif"]
    assert (c["mpp"], c["mpp_source"], c["flags"]) == (0.5, "model", "mpp_doubtful,mpp_assumed")
    assert any(
        isinstance(one, Warn) and one.message.startswith("c.ome.tif: it has no resolution metadata") for one in told
    )


def test_a_slides_row_agrees_with_its_tiles(folder: Path, run: Run) -> None:
    result = run(folder)
    row, tiles = rows_of(result)["b.svs"], tiles_of(result, "b.svs")
    assert row["tiles"] == len(tiles) > 10
    assert [(t["y"], t["x"]) for t in tiles] == sorted((t["y"], t["x"]) for t in tiles)
    assert {(t["width_px"], t["height_px"], t["mpp"]) for t in tiles} == {(64, 64, 0.5)}
    malignant = [t["prob_malignant"] for t in tiles]
    assert row["prob_malignant"] == pytest.approx(np.mean(malignant), abs=1e-6)
    assert row["prob_benign"] + row["prob_malignant"] == pytest.approx(1, abs=1e-6)
    assert row["positive_tile_fraction"] == pytest.approx(np.mean([p >= 0.5 for p in malignant]))
    assert row["blurred_tile_fraction"] == pytest.approx(np.mean([t["is_blurred"] for t in tiles]))
    assert [t["label"] for t in tiles] == ["malignant" if p >= 0.5 else "benign" for p in malignant]
    assert row["mask_fraction"] == pytest.approx(np.mean([t["mask_fraction"] for t in tiles]), abs=1e-6)


def test_a_tile_is_classified_like_an_image_of_its_pixels(folder: Path, run: Run, tmp_path: Path) -> None:
    result = run(folder / "malignant" / "a.tif", overlap=0.25)
    tiles = tiles_of(result, "a.tif")
    with tifffile.TiffFile(folder / "malignant" / "a.tif") as file:  # 0.25 um: a view of 0.5 um is level 1
        level = file.pages[1].asarray()
    photos = tmp_path / "photos"
    photos.mkdir()
    inside = [t for t in tiles if t["x"] + 128 <= 1800 and t["y"] + 128 <= 1200][::7]
    for i, t in enumerate(inside):
        x, y = t["x"] // 2, t["y"] // 2
        cv2.imwrite(str(photos / f"{i:03d}.png"), cv2.cvtColor(level[y : y + 64, x : x + 64], cv2.COLOR_RGB2BGR))
    alone = rows_of(run(photos, out=tmp_path / "photos.parquet"))
    assert len(inside) > 5
    assert [row["prob_malignant"] for row in alone.values()] == [t["prob_malignant"] for t in inside]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"pool": "max"}, lambda p: p.max()),
        ({"pool": "topk", "top_k": 3}, lambda p: np.sort(p)[-3:].mean()),
        ({"pool": "topk", "top_k": 10_000}, lambda p: p.mean()),
        ({"pool": "noisy-or"}, lambda p: 1 - np.prod(1 - p)),
    ],
)
def test_pooling_methods_do_what_their_names_say(
    folder: Path, run: Run, options: dict[str, Any], expected: Callable[[np.ndarray], float]
) -> None:
    result = run(folder / "b.svs", **options)
    malignant = np.array([t["prob_malignant"] for t in tiles_of(result, "b.svs")], np.float64)
    assert rows_of(result)["b.svs"]["prob_malignant"] == pytest.approx(expected(malignant), abs=1e-6)


@pytest.mark.parametrize("options", [{"workers": 1}, {"workers": 2, "batch_size": 5}, {"batch_size": 1}])
def test_results_do_not_depend_on_workers_and_batches(
    folder: Path, run: Run, tmp_path: Path, options: dict[str, Any]
) -> None:
    expected = bytes_of(run(folder))
    assert bytes_of(run(folder, out=tmp_path / "other" / "p.parquet", **options)) == expected


def test_an_interrupted_slide_is_resumed_where_it_stopped(
    folder: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = bytes_of(run(folder, out=tmp_path / "undisturbed" / "p.parquet"))
    seen: list[int] = []

    def counted(outcome: BatchOutcome) -> None:
        if outcome.tiles is not None:
            seen.append(len(outcome.tiles))
        if len(seen) == 3:
            monkeypatch.setattr(interruption, "requested", lambda: True)

    monkeypatch.setattr(interruption, "check", stop_if_requested)
    with pytest.raises(KeyboardInterrupt):
        run(folder, batch_size=4, hooks=Hooks(committed=counted))
    before = sum(seen)
    monkeypatch.setattr(interruption, "requested", lambda: False)
    result = run(folder, batch_size=4, hooks=Hooks(committed=lambda outcome: seen.append(len(outcome.tiles or ()))))
    assert bytes_of(result) == expected
    tiles = sum(len(tiles_of(result, name)) for name in ("b.svs", "c.ome.tif", "malignant/a.tif"))
    assert before == 12
    assert sum(seen) == tiles  # none twice
    assert list(result.out.parent.glob("*.partial")) == []


def stop_if_requested(words: str = "", **more: Any) -> None:
    if interruption.requested():
        raise KeyboardInterrupt


def test_masks_of_chosen_regions(folder: Path, run: Run, tmp_path: Path) -> None:
    regions = tmp_path / "regions.csv"
    regions.write_text("slide,x,y,width_px,height_px\nb.svs,200,200,100,30\n")
    result = run(folder / "b.svs", masks=tmp_path / "masks", mask_regions=regions)
    expected = {
        f"x{t['x']:07d}_y{t['y']:07d}.png"
        for t in tiles_of(result, "b.svs")
        if t["x"] < 300 and t["x"] + 64 > 200 and t["y"] < 230 and t["y"] + 64 > 200
    }
    found = {path.name for path in (tmp_path / "masks" / "b.svs.masks").iterdir()}
    assert found == expected
    assert len(found) >= 2
    assert cv2.imread(str(tmp_path / "masks" / "b.svs.masks" / min(found)), cv2.IMREAD_UNCHANGED).shape == (64, 64)
    regions.write_text("slide,x,y\nb.svs,1,2\n")
    with pytest.raises(InputError, match="has no column width_px, height_px"):
        run(folder / "b.svs", masks=tmp_path / "m", mask_regions=regions, out=tmp_path / "r.parquet")


def test_sinks_write_the_same_files_during_the_run_and_later(folder: Path, run: Run, tmp_path: Path) -> None:
    def named(where: str) -> dict[str, Any]:
        return {name: tmp_path / where / name for name in ("geojson", "heatmaps", "probability_maps")}

    def contents(where: str) -> dict[str, bytes]:
        found = sorted(
            path for path in (tmp_path / where).rglob("*.*") if path.is_file() and path.name != OUTPUT_MARKER
        )
        return {path.relative_to(tmp_path / where).as_posix(): path.read_bytes() for path in found}

    run(folder, out=tmp_path / "with.parquet", **named("with"))
    expected = contents("with")
    slides = ("b.svs", "c.ome.tif", "malignant/a.tif")
    endings = {"geojson": ".geojson", "heatmaps": ".png", "probability_maps": ".probability.tif"}
    assert set(expected) == {f"{kind}/{slide}{ending}" for slide in slides for kind, ending in endings.items()}
    result = run(folder)
    before = bytes_of(result)
    run(folder, **named("later"), hooks=Hooks(open_runner=lambda *_, **__: pytest.fail("a network runs")))
    assert contents("later") == expected
    assert bytes_of(result) == before


def test_kind_overrides_the_detected_kind(folder: Path, run: Run, tmp_path: Path) -> None:
    photo = folder / "malignant" / "photo.tif"
    assert rows_of(run(photo))["photo.tif"]["kind"] == "image"
    row = rows_of(run(photo, kind="slide", tissue="none", out=tmp_path / "s.parquet"))["photo.tif"]
    assert (row["kind"], row["status"], row["mpp_source"]) == ("slide", "ok", "model")
    row = rows_of(run(folder / "malignant" / "a.tif", kind="image", out=tmp_path / "i.parquet"))["a.tif"]
    assert (row["kind"], row["status"], row["views"]) == ("image", "ok", 1)
    assert {row["kind"] for row in rows_of(run(folder, kind="image", out=tmp_path / "f.parquet")).values()} == {"image"}


def test_a_finished_table_is_not_mixed_with_other_tiles(folder: Path, run: Run) -> None:
    run(folder / "b.svs")
    with pytest.raises(OutputError, match="overlap"):
        run(folder / "b.svs", overlap=0.5)
    result = run(folder / "photo.png", overwrite=True)
    assert result.tiles_file is None
    assert not (result.out.parent / "p.tiles.parquet").exists()


def test_a_run_whose_slides_all_fail_still_writes_its_tables(folder: Path, run: Run) -> None:
    result = run([folder / "glass.tif", folder / "text.ndpi"])
    assert (result.files, result.failed) == (2, 2)
    assert result.tiles_file is not None
    assert len(pq.read_table(result.tiles_file)) == 0


def test_the_tile_table_has_compact_types(folder: Path, run: Run) -> None:
    result = run(folder / "b.svs")
    schema = pq.read_schema(result.tiles_file)
    words = pa.dictionary(pa.int32(), pa.string())
    assert [(f.name, f.type) for f in schema] == [
        ("slide", words),
        ("x", pa.int64()),
        ("y", pa.int64()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("mpp", pa.float32()),
        ("status", words),
        ("error", pa.string()),
        ("label", words),
        ("flags", words),
        ("novelty", pa.float32()),
        ("prob_benign", pa.float32()),
        ("prob_malignant", pa.float32()),
        ("mask_fraction", pa.float32()),
        ("tissue_fraction", pa.float32()),
        ("pen_fraction", pa.float32()),
        ("blur", pa.float32()),
        ("is_blurred", pa.bool_()),
        ("brightness", pa.float32()),
    ]
    assert schema.metadata == pq.read_schema(result.out).metadata


def test_regions_without_masks_are_refused(folder: Path, run: Run, tmp_path: Path) -> None:
    with pytest.raises(CancernetError, match="--mask-regions"):
        run(folder, mask_regions=tmp_path / "regions.csv")
