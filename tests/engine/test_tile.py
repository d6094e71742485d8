"""The tile plan from the library: tables, pictures, tile images, and slides that are no good."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openslide
import pyarrow.parquet as pq
import pytest
import tifffile

from cancernet_cli.core.errors import InputError, OutputError
from cancernet_cli.core.events import Event, Note, Warn
from cancernet_cli.core.files import OUTPUT_MARKER
from cancernet_cli.core.options import TileOptions
from cancernet_cli.engine import tile_work
from cancernet_cli.engine.tile import tile
from tests.slide_files import GLASS, real_slide, tissue_slide, write_ome, write_svs, write_tiled

CUT = {"tile_mpp": 1.0, "tile_size_px": 100}


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four good slides, one of them bare glass, and five that are no good."""
    folder = tmp_path_factory.mktemp("slides")
    picture = tissue_slide(2400, 1600)
    (folder / "deep").mkdir()
    write_tiled(folder / "deep" / "a.tif", picture, mpp=0.5)
    write_svs(folder / "b.svs", picture, mpp="0.5")
    write_ome(folder / "c.ome.tif", picture, mpp=None)
    write_tiled(folder / "glass.tif", np.full((800, 900, 3), GLASS, np.uint8), mpp=0.5)
    whole = (folder / "b.svs").read_bytes()
    (folder / "truncated.svs").write_bytes(whole[: len(whole) // 3])
    (folder / "empty.ndpi").touch()
    (folder / "noise.scn").write_bytes(b"noise" * 500)
    (folder / "alone.mrxs").write_bytes(b"\xff\xd8\xff\xe0" + b"x" * 500)
    (folder / "link.svs").symlink_to(folder / "nowhere.svs")
    return folder


def test_every_slide_has_one_row_and_bad_ones_the_reason(slides: Path, tmp_path: Path) -> None:
    told: list[Event] = []
    result = tile(slides, TileOptions(out=tmp_path / "out", **CUT), told.append)
    assert (result.slides, result.failed) == (9, 5)
    table = pq.read_table(result.slides_file)
    rows = {row["path"]: row for row in table.to_pylist()}
    assert list(rows) == sorted(rows)
    reasons = {name: row["error"] for name, row in rows.items() if row["status"] == "failed"}
    assert reasons == {
        "alone.mrxs": "open: MissingCompanion: the folder 'alone' with Slidedat.ini is missing next to it",
        "empty.ndpi": "open: EmptyFile: the file is empty",
        "link.svs": f"discover: FileNotFoundError: a broken link to {slides}/nowhere.svs",
        "noise.scn": "open: NotASlide: no slide reader supports its format",
        "truncated.svs": reasons["truncated.svs"],
    }
    assert reasons["truncated.svs"].startswith("open: ")
    a = rows["deep/a.tif"]
    assert (a["mpp"], a["mpp_source"], a["flags"], a["levels"]) == (0.5, "tiff_resolution", "", 3)
    assert (a["width_px"], a["height_px"], a["tile_width_px"], a["view_width_px"]) == (2400, 1600, 200, 100)
    assert a["grid_tiles"] == 12 * 8
    # ellipses with half axes of 400 x 533 and 300 x 400, less a hole of radius 200
    truth = np.pi * (400 * 533 + 300 * 400 - 200**2) * 0.25 / 1e6
    assert a["tissue_area_mm2"] == pytest.approx(truth, rel=0.05)
    assert a["pen_fraction"] > 0
    c, glass = rows["c.ome.tif"], rows["glass.tif"]
    assert (c["mpp"], c["mpp_source"], c["flags"]) == (1.0, "model", "mpp_assumed")
    assert (glass["status"], glass["tiles"], glass["flags"]) == ("ok", 0, "no_tissue")
    warnings = [event.message for event in told if isinstance(event, Warn)]
    assert any("c.ome.tif: it has no resolution metadata" in words for words in warnings)
    assert any("glass.tif: no tissue was found" in words for words in warnings)
    assert sum("failed" in words for words in warnings) == 5


def test_the_tile_table_is_sorted_and_typed_and_agrees_with_the_slide_rows(slides: Path, tmp_path: Path) -> None:
    result = tile(slides, out=tmp_path / "out", **CUT)
    table = pq.read_table(result.tiles_file)
    assert [(f.name, str(f.type)) for f in table.schema] == [
        ("slide", "dictionary<values=string, indices=int32, ordered=0>"),
        ("x", "int64"),
        ("y", "int64"),
        ("width_px", "int32"),
        ("height_px", "int32"),
        ("mpp", "float"),
        ("tissue_fraction", "float"),
        ("pen_fraction", "float"),
    ]
    keys = [(row["slide"], row["y"], row["x"]) for row in table.to_pylist()]
    assert keys == sorted(keys)
    counts = {row["path"]: row["tiles"] for row in result.rows if row["status"] == "ok"}
    assert {name: sum(key[0] == name for key in keys) for name in counts} == counts
    assert len(keys) == result.tiles > 50
    assert min(table["tissue_fraction"].to_pylist()) >= 0.25
    again = tile(slides, out=tmp_path / "again", **CUT)
    assert again.tiles_file.read_bytes() == result.tiles_file.read_bytes()
    assert again.slides_file.read_bytes() == result.slides_file.read_bytes()


def test_mask_and_preview_are_next_to_each_other_under_the_slides_path(slides: Path, tmp_path: Path) -> None:
    result = tile(slides / "deep" / "a.tif", out=tmp_path / "out", **CUT)
    assert sorted(path.name for path in result.out.iterdir()) == [
        OUTPUT_MARKER,
        "a.tif.preview.png",
        "a.tif.tissue.png",
        "slides.parquet",
        "tiles.parquet",
    ]
    mask = cv2.imread(str(result.out / "a.tif.tissue.png"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(mask)) == {0, 255}
    scale = 2400 / mask.shape[1]
    assert mask[round(800 / scale), round(300 / scale)] == 255
    assert mask[round(800 / scale), round(600 / scale)] == 0  # the hole
    assert mask[round(800 / scale), round(2160 / scale)] == 0  # the pen
    preview = cv2.imread(str(result.out / "a.tif.preview.png"))
    assert preview.shape[0] > mask.shape[0]


def test_tile_images_match_openslide(slides: Path, tmp_path: Path) -> None:
    result = tile(slides / "deep" / "a.tif", out=tmp_path / "out", images=True, overlap=0.5, **CUT)
    rows = pq.read_table(result.tiles_file).to_pylist()
    folder = result.out / "a.tif.tiles"
    assert len(list(folder.iterdir())) == len(rows) == result.tiles
    assert result.rows[0]["failed_tiles"] == 0
    with openslide.OpenSlide(slides / "deep" / "a.tif") as other:
        for row in rows[::7]:
            pixels = cv2.imread(str(folder / f"x{row['x']:07d}_y{row['y']:07d}.png"))[..., ::-1]
            region = np.asarray(other.read_region((row["x"], row["y"]), 1, (100, 100)))
            shown = np.where(region[..., 3:] == 0, 255, region[..., :3])
            np.testing.assert_array_equal(pixels, shown)


def test_options_change_the_plan(slides: Path, tmp_path: Path) -> None:
    def count(**options: object) -> int:
        return tile(slides / "deep" / "a.tif", out=tmp_path / "out", overwrite=True, **{**CUT, **options}).tiles  # type: ignore[arg-type]

    usual = count()
    assert count(tissue="none") == 12 * 8
    assert count(overlap=0.5) > 3 * usual
    assert count(min_tissue=1.0) < usual < count(min_tissue=0.0)
    assert count(tile_size_px=50) > 3 * usual
    assert count(tile_mpp=2.0) < usual


def test_size_and_scale_default_to_the_model_card(slides: Path, tmp_path: Path) -> None:
    told: list[Event] = []
    result = tile(slides / "deep" / "a.tif", TileOptions(out=tmp_path / "out"), told.append)
    row = result.rows[0]
    assert (row["view_width_px"], row["view_height_px"]) == (352, 224)
    assert row["tile_mpp"] == pytest.approx(0.4)
    assert (row["tile_width_px"], row["tile_height_px"]) == (282, 179)
    assert any("0.4 µm/px from its magnification 100x" in event.message for event in told if isinstance(event, Note))


def test_a_scale_can_be_given_for_slides_without_one(slides: Path, tmp_path: Path) -> None:
    result = tile(slides / "c.ome.tif", out=tmp_path / "out", mpp=0.25, **CUT)
    assert (result.rows[0]["mpp"], result.rows[0]["mpp_source"]) == (0.25, "option")
    assert result.rows[0]["tile_width_px"] == 400


def test_a_damaged_tile_is_counted_and_the_others_are_written(slides: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.svs"
    write_svs(path, tissue_slide(2400, 1600), mpp="0.5")
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        start, count = page.dataoffsets[21], page.databytecounts[21]  # row 2, column 1 of tiles of 240
    data = bytearray(path.read_bytes())
    data[start : start + count] = b"\xff" * count
    path.write_bytes(data)
    result = tile(path, out=tmp_path / "out", images=True, tile_mpp=0.5, tile_size_px=120)
    row = result.rows[0]
    assert row["status"] == "ok"
    assert 0 < row["failed_tiles"] < row["tiles"]
    assert len(list((result.out / "s.svs.tiles").iterdir())) == row["tiles"] - row["failed_tiles"]


def in_a_worker(name: str, act: Callable[[], object]) -> Callable[[bytes], Any]:
    """`open_slide`, which refuses to work in this process, and acts before it opens the slide of that name."""
    here, opens = os.getpid(), tile_work.open_slide

    def open_there(location: bytes) -> Any:
        assert os.getpid() != here
        if location.endswith(name.encode()):
            act()
        return opens(location)

    return open_there


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (
            partial(signal.raise_signal, signal.SIGKILL),
            "decode: WorkerDied: the process that read it crashed, was killed or ran out of memory",
        ),
        (partial(time.sleep, 600), "decode: TimedOut: it took more than 2 s; see --file-timeout"),
    ],
    ids=["crash", "hang"],
)
def test_a_slide_that_crashes_or_hangs_its_reader_is_one_failed_row(
    slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], reason: str
) -> None:
    good = tile(slides / "deep", out=tmp_path / "good", **CUT).rows
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("a.tif", "b.tif"):
        shutil.copy(slides / "deep" / "a.tif", folder / name)
    monkeypatch.setattr(tile_work, "open_slide", in_a_worker("a.tif", act))
    result = tile(folder, out=tmp_path / "out", file_timeout=0.4, **CUT)
    assert [(row["path"], row["error"]) for row in result.rows] == [("a.tif", reason), ("b.tif", "")]
    assert result.rows[1]["tiles"] == good[0]["tiles"]


def test_a_slide_of_which_most_tiles_fail_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "s.svs"
    write_svs(path, tissue_slide(2400, 1600), mpp="0.5")
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        places = list(zip(page.dataoffsets, page.databytecounts, strict=True))[:50]  # five of seven rows of tiles
    data = bytearray(path.read_bytes())
    for start, count in places:
        data[start : start + count] = b"\xff" * count
    path.write_bytes(data)
    told: list[Event] = []
    options = TileOptions(out=tmp_path / "out", images=True, tile_mpp=0.5, tile_size_px=120, tissue="none")
    result = tile(path, options, told.append)
    (row,) = result.rows
    assert row["error"].startswith("tile: TooManyBadTiles: more than 50% of its 280 tiles cannot be read, the first: ")
    assert (result.failed, pq.read_metadata(result.tiles_file).num_rows) == (1, 0)
    assert not list((result.out / "s.svs.tiles").glob("*"))


def test_refusals(slides: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match="no slide was found"):
        tile(tmp_path / "photos", out=tmp_path / "out")
    out = tmp_path / "full"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not empty"):
        tile(slides, out=out)
    assert os.listdir(out) == ["mine.txt"]
    tile(slides / "glass.tif", out=out, overwrite=True)
    assert (out / "mine.txt").read_text() == "mine"


def test_the_real_slide(tmp_path: Path) -> None:
    row = tile(real_slide(), out=tmp_path / "out").rows[0]
    assert row["mpp"] == pytest.approx(0.499)
    assert 30 < row["tiles"] < 90
    assert 0.4 < row["tissue_area_mm2"] < 0.8
