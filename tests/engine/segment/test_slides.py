"""Slides: nuclei on the edges of tiles are counted once, at full resolution."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile

from cancernet_cli import segment
from cancernet_cli.core import interruption
from cancernet_cli.core.errors import Interrupted
from cancernet_cli.core.records import SegmentResult
from tests.nuclei_images import in_a_grid, with_nuclei
from tests.slide_files import write_tiled

SIDE, STEP, MPP = (1000, 700), 67, 0.25
PLACES = in_a_grid(*SIDE, STEP)  # many are on the edges of tiles, which are 384 px apart


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "a.tif"
    write_tiled(path, with_nuclei(*SIDE, PLACES)[0], mpp=MPP)
    return path


OPTIONS = {"segmenter": "threshold", "kind": "slide", "tissue": "none"}


@pytest.fixture(scope="module")
def found(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> SegmentResult:
    return segment(slide, out=tmp_path_factory.mktemp("out") / "o", workers=0, **OPTIONS)


def test_every_nucleus_is_counted_once(found: SegmentResult) -> None:
    (row,) = pq.read_table(found.images_file).to_pylist()
    nuclei = pq.read_table(found.nuclei_file)
    assert row["tiles"] > 4
    assert row["nuclei"] == len(PLACES) == len(nuclei)
    assert nuclei["id"].to_pylist() == list(range(1, len(PLACES) + 1))
    centers = np.stack([nuclei["x"].to_numpy(), nuclei["y"].to_numpy()], axis=1)
    distances = np.hypot(*(centers[:, None] - (np.array(PLACES) + 0.5)[None]).T)
    assert distances.min(axis=0).max() < 2
    assert distances.min(axis=1).max() < 2
    assert row["tissue_area_mm2"] == pytest.approx(SIDE[0] * SIDE[1] * MPP**2 / 1e6, rel=0.02)


def test_labels_and_outlines_are_at_full_resolution(found: SegmentResult) -> None:
    labels = tifffile.imread(found.out / "instances" / "a.tif.instances.tif")
    assert labels.shape[::-1] == SIDE
    nuclei = pq.read_table(found.nuclei_file).to_pylist()
    assert {labels[int(row["y"]), int(row["x"])] for row in nuclei} == {row["id"] for row in nuclei}
    features = json.loads((found.out / "geojson" / "a.tif.geojson").read_text("utf-8"))["features"]
    for feature, row in zip(features, nuclei, strict=True):
        ring = np.array(feature["geometry"]["coordinates"][0])
        assert np.abs(ring.mean(axis=0) - (row["x"], row["y"])).max() < 4
    assert (found.out / "overlays" / "a.tif.overlay.jpg").is_file()


def test_same_bytes_after_an_interruption(
    slide: Path, found: SegmentResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"out": tmp_path / "o", "batch_size": 2, **OPTIONS}

    def stop(*done: str) -> None:
        if done:
            raise Interrupted(done[0], fix="run the same command again", signal_number=2)

    for _ in range(2):  # two batches of tiles and the plan before them
        with monkeypatch.context() as patch:
            asked = iter([False, True])
            patch.setattr(interruption, "requested", lambda asked=asked: next(asked, True))
            patch.setattr("cancernet_cli.engine.segment.run.interruption.check", stop)
            with pytest.raises(Interrupted):
                segment(slide, workers=0, **options)
    assert list((tmp_path / "o.partial").glob("tiles-*.parquet"))
    result = segment(slide, workers=2, **options)
    for name in ("images_file", "nuclei_file"):
        assert getattr(result, name).read_bytes() == getattr(found, name).read_bytes()
    for name in ("instances/a.tif.instances.tif", "geojson/a.tif.geojson"):
        assert (result.out / name).read_bytes() == (found.out / name).read_bytes()


def test_regions(slide: Path, tmp_path: Path) -> None:
    (tmp_path / "regions.csv").write_text("slide,x,y,width_px,height_px\na.tif,0,0,400,300\na.tif,350,0,100,300\n")
    result = segment(slide, out=tmp_path / "o", regions=tmp_path / "regions.csv", workers=0, overlays=False, **OPTIONS)
    inside = [(x, y) for x, y in PLACES if x < 450 and y < 300]
    nuclei = pq.read_table(result.nuclei_file)
    assert len(nuclei) == len(inside)
    (row,) = pq.read_table(result.images_file).to_pylist()
    assert row["tissue_area_mm2"] == pytest.approx(450 * 300 * MPP**2 / 1e6, rel=0.05)


def test_a_slide_without_tissue_fails_with_the_reason(tmp_path: Path) -> None:
    write_tiled(tmp_path / "white.tif", np.full((600, 800, 3), 250, np.uint8))
    result = segment(tmp_path / "white.tif", out=tmp_path / "o", segmenter="threshold", kind="slide", workers=0)
    (row,) = pq.read_table(result.images_file).to_pylist()
    assert row["status"] == "failed"
    assert row["error"].startswith("tile: NoTissue")
