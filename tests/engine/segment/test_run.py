"""Images: nuclei at known places, files, true masks, failures, interruptions."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from PIL import Image

from cancernet_cli import SegmentOptions, segment
from cancernet_cli.core import interruption
from cancernet_cli.core.errors import InputError, Interrupted, ModelError, OptionError, OutputError
from cancernet_cli.core.events import Event, Note, Warn
from cancernet_cli.core.records import SegmentResult
from tests.nuclei_images import in_a_grid, with_nuclei
from tests.tiny_model import write_tiny_model, write_tiny_unet

SIZES = {"p1/a.png": (300, 200), "p1/b.png": (620, 520), "p2/c.png": (240, 260)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images of two patients, with true masks: instances, binary, and instances."""
    root = tmp_path_factory.mktemp("nuclei")
    rows = []
    for name, size in SIZES.items():
        image, labels = with_nuclei(*size, in_a_grid(*size, 60))
        for kind, pixels in (("images", image), ("masks", labels.astype(np.uint16))):
            path = root / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            is_binary = kind == "masks" and name == "p1/b.png"
            assert cv2.imwrite(
                str(path),
                pixels[..., ::-1] if kind == "images" else np.uint8(255) * (pixels > 0) if is_binary else pixels,
            )
        rows.append({"image": f"images/{name}", "mask": f"masks/{name}", "patient": name[:2], "mpp": "0.25"})
    (root / "broken.csv").write_text("path\nimages/p1/a.png\nmissing.png\n")
    with (root / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return root


@pytest.fixture(scope="module")
def measured(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> SegmentResult:
    return segment(
        folder / "manifest.csv",
        out=tmp_path_factory.mktemp("out") / "found",
        segmenter="threshold",
        soft_masks=True,
        workers=0,
    )


def test_every_nucleus_is_found_where_it_is(folder: Path, measured: SegmentResult) -> None:
    images = pq.read_table(measured.images_file).to_pylist()
    assert [row["path"] for row in images] == [f"images/{name}" for name in SIZES]
    nuclei = pq.read_table(measured.nuclei_file)
    for row in images:
        name = row["path"].removeprefix("images/")
        places = in_a_grid(*SIZES[name], 60)
        assert row["nuclei"] == row["true_nuclei"] == len(places)
        here = nuclei.filter(np.array(nuclei["path"].to_pylist()) == row["path"])
        found = np.stack([here["x"].to_numpy(), here["y"].to_numpy()], axis=1)
        wanted = np.array(places) + 0.5
        assert np.hypot(*(found[:, None] - wanted[None]).T).min(axis=0).max() < 1.5
        np.testing.assert_allclose(here["area_um2"].to_numpy(), here["area_px"].to_numpy() / 16, rtol=1e-5)
        assert set(here["patient"].to_pylist()) == {name[:2]}
        assert row["mean_hematoxylin"] > row["mean_eosin"]
        assert row["nuclei_per_mm2"] == pytest.approx(row["nuclei"] / row["tissue_area_mm2"], rel=1e-5)
        assert row["dice"] > 0.93
        assert row["pq"] > 0.8
    assert [row["true_instances"] for row in images] == [True, False, True]


def test_files_agree_with_the_table(measured: SegmentResult) -> None:
    out = measured.out
    nuclei = pq.read_table(measured.nuclei_file)
    for name in SIZES:
        side = f"images/{name}"
        labels = tifffile.imread(out / "instances" / f"{side}.instances.tif")
        mask = np.asarray(Image.open(out / "masks" / f"{side}.mask.png"))
        here = nuclei.filter(np.array(nuclei["path"].to_pylist()) == side)
        assert labels.dtype == np.uint16
        assert labels.shape[::-1] == mask.shape[::-1] == SIZES[name]
        assert (mask == 255 * (labels > 0)).all()
        assert np.bincount(labels.ravel())[1:].tolist() == here["area_px"].to_pylist()
        features = json.loads((out / "geojson" / f"{side}.geojson").read_text("utf-8"))["features"]
        assert [one["properties"]["measurements"]["id"] for one in features] == here["id"].to_pylist()
        assert np.asarray(Image.open(out / "soft_masks" / f"{side}.soft.png")).max() == 255
        assert Image.open(out / "overlays" / f"{side}.overlay.jpg").width > 1000


def test_report_of_the_overlap(measured: SegmentResult) -> None:
    assert measured.overlap is not None
    assert measured.report_file is not None
    text = measured.report_file.read_text("utf-8")
    assert "3 images of 2 patients" in text
    assert "Some true masks are binary" in text
    for word in ("Worst", "Median", "Best"):
        assert word in text
    links = [line.split("](")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")]
    assert len(links) == 3
    assert all((measured.out / link).is_file() for link in links)
    assert measured.overlap["counts"]["true"] == sum(len(in_a_grid(*size, 60)) for size in SIZES.values())
    assert "low" in measured.overlap["figures"]["pq"]["patients"]


def test_same_bytes_for_any_workers_batches_and_interruptions(
    folder: Path, measured: SegmentResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = SegmentOptions(out=tmp_path / "found", segmenter="threshold", soft_masks=True, workers=2, batch_size=1)
    with monkeypatch.context() as patch:
        patch.setattr(interruption, "requested", lambda: True)
        patch.setattr("cancernet_cli.engine.segment.run.interruption.check", _stop)
        with pytest.raises(Interrupted):
            segment(folder / "manifest.csv", options)
    assert list((tmp_path / "found.partial").glob("part-*.parquet"))
    result = segment(folder / "manifest.csv", options)
    assert result.reused == 1
    for name in ("images_file", "nuclei_file"):
        assert getattr(result, name).read_bytes() == getattr(measured, name).read_bytes()
    assert not (tmp_path / "found.partial").exists()
    notes: list[Event] = []
    again = segment(folder / "manifest.csv", options, notes.append)
    assert again.overlap == measured.overlap
    assert any(isinstance(note, Note) and "already complete" in note.message for note in notes)


def _stop(*done: str) -> None:
    if done:
        raise Interrupted(done[0], fix="run the same command again", signal_number=2)


def test_masks_of_a_folder_and_an_unknown_resolution(folder: Path, tmp_path: Path) -> None:
    notes: list[Event] = []
    result = segment(
        folder / "images", report=notes.append, out=tmp_path / "o", segmenter="threshold", masks=folder / "masks",
        geojson=False, overlays=False, instances=False, binary_masks=False,
    )  # fmt: skip
    rows = pq.read_table(result.images_file).to_pylist()
    assert [row["true_nuclei"] for row in rows] == [row["nuclei"] for row in rows]
    assert {row["mpp"] for row in rows} == {row["mean_area_um2"] for row in rows} == {None}
    assert any(isinstance(note, Warn) and "resolution of images is unknown" in note.message for note in notes)
    assert sorted(path.name for path in result.out.iterdir() if not path.name.startswith(".")) == [
        "images.parquet", "nuclei.parquet", "report.md", "run.json",
    ]  # fmt: skip


def test_failures_are_rows(folder: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.ones((5, 5), np.uint8))
    result = segment(
        folder / "broken.csv", out=tmp_path / "o", segmenter="threshold", masks=tmp_path, mpp=0.25, overlays=False
    )
    rows = pq.read_table(result.images_file).to_pylist()
    assert [row["status"] for row in rows] == ["failed", "failed"]
    assert rows[0]["error"] == "mask: SizeDiffers: the true mask has 5 x 5 pixels, the image 300 x 200"
    assert rows[1]["error"].startswith("discover: ")
    assert (result.failed, result.nuclei) == (2, 0)
    with pytest.raises(InputError, match="failed"):
        segment(folder / "broken.csv", out=tmp_path / "p", segmenter="threshold", masks=tmp_path, strict=True)


def test_overwriting_removes_the_files_of_other_inputs(folder: Path, tmp_path: Path) -> None:
    options = {"out": tmp_path / "o", "segmenter": "threshold", "mpp": 0.25, "workers": 0}
    segment(folder / "images" / "p1" / "a.png", **options)
    (tmp_path / "o" / "notes.txt").write_text("mine")
    segment(folder / "images" / "p2" / "c.png", overwrite=True, **options)
    left = {path.name for path in (tmp_path / "o").rglob("*") if path.is_file() and "png" in path.name}
    assert left == {"c.png.mask.png", "c.png.instances.tif", "c.png.geojson", "c.png.overlay.jpg"}
    assert (tmp_path / "o" / "notes.txt").exists()


def test_unet_of_the_users_own(folder: Path, tmp_path: Path) -> None:
    model = write_tiny_unet(tmp_path / "unet")
    result = segment(folder / "images" / "p1" / "a.png", out=tmp_path / "o", model=str(model), mpp=0.5, workers=0)
    (row,) = pq.read_table(result.images_file).to_pylist()
    assert row["scale"] == 1.0  # trained at 0.5 um per pixel
    assert row["model"] == "unet"
    assert row["mpp_source"] == "option"


def test_what_does_not_fit_is_refused(folder: Path, tmp_path: Path) -> None:
    classifier = write_tiny_model(tmp_path / "classifier")
    with pytest.raises(ModelError, match="is a classifier, not a U-Net"):
        segment(folder / "images", out=tmp_path / "o", model=str(classifier))
    with pytest.raises(OptionError, match="uses no model"):
        segment(folder / "images", out=tmp_path / "o", model="tnbc_unet_fine", segmenter="threshold")
    with pytest.raises(OptionError, match="--segmenter is 'none'"):
        SegmentOptions(segmenter="none")
    with pytest.raises(InputError, match="has no mask of any image"):
        segment(folder / "images", out=tmp_path / "o", segmenter="threshold", masks=classifier)
    with pytest.raises(OptionError, match="an input folder"):
        segment(folder / "images", out=folder / "images", segmenter="threshold")


def test_a_finished_output_is_not_replaced_silently(folder: Path, measured: SegmentResult, tmp_path: Path) -> None:
    for changes in ({"mpp": 0.5}, {"soft_masks": False}):
        options = {"out": measured.out, "segmenter": "threshold", "soft_masks": True} | changes
        with pytest.raises(OutputError, match=r"output options|found with"):
            segment(folder / "manifest.csv", **options)
    with pytest.raises(OutputError, match="different input files"):
        segment(folder / "images", out=measured.out, segmenter="threshold", soft_masks=True)
