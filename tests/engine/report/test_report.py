"""`cancernet report`: what a page holds, for tables with and without labels, images, masks, slides and metadata."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.options import ReportOptions
from cancernet_cli.engine.report.run import report
from cancernet_cli.engine.report.thumbnails import mask_contours
from cancernet_cli.outputs.pictures.files import write_png
from cancernet_cli.outputs.side_files import side_path
from cancernet_cli.outputs.sink import sinks
from tests.he_images import he_like
from tests.prediction_tables import OURS, write_predictions
from tests.slide_files import tissue_slide, write_tiled

WORDS = pa.dictionary(pa.int32(), pa.string())
NAMES = ["a/<b>'\"&.png", "a/plain.png", "a/\u202egnp.exe.png", "a/gone.png"]


def content(path: Path) -> tuple[dict[str, Any], dict[str, str], str]:
    """Data, pictures and text of a page."""
    html = path.read_text("utf-8")
    found = {
        name: json.loads(re.search(rf'id="report-{name}">(.*?)</script>', html, re.DOTALL)[1])  # type: ignore[index]
        for name in ("data", "pictures")
    }
    return found["data"], found["pictures"], html


def gallery(data: dict[str, Any]) -> list[dict[str, Any]]:
    found = data["widgets"]["gallery"]
    return [dict(zip(found["names"], row, strict=True)) for row in found["rows"]]


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    return write_predictions(tmp_path / "preds.parquet", metadata=OURS)


@pytest.fixture
def with_images(tmp_path: Path) -> Path:
    """A table of four images, one of which is gone, and a mask of the second."""
    for seed, name in enumerate(NAMES[:3]):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(he_like(seed)).save(path)
    mask = np.zeros((60, 90), np.uint8)
    cv2.circle(mask, (45, 30), 20, 255, -1)
    write_png(mask, side_path(tmp_path / "masks", b"a/plain.png", sinks["masks"].facts["suffix"]))
    record = {"folder": str(tmp_path / "images"), "outputs": {"masks": "/moved/from/masks"}, "command": ["cancernet"]}
    (tmp_path / "preds.run.json").write_text(json.dumps(record))
    return write_predictions(
        tmp_path / "preds.parquet",
        metadata=OURS,
        images=4,
        path=NAMES,
        true_label=pa.array([None] * 4, WORDS),
        flags=pa.array(["blurred", "", "blurred,dark", ""]).cast(WORDS),
    )


def test_a_labelled_table_has_the_figures_of_evaluate(labelled: Path) -> None:
    from cancernet_cli.engine.evaluate.run import evaluate

    result = report(labelled, pictures=0, resamples=100)
    data, _, html = content(result.out)
    metrics = evaluate(labelled, resamples=100, plots=False).metrics
    assert f"{metrics['images']['auroc']['value']:.2f} (" in html
    counts = data["widgets"]["thresholds"]["counts"][0]
    own = next(row for row in metrics["thresholds"] if "own" in row["note"])
    assert counts["at_own"] == [own["tp"], own["fp"]]
    half = next(row for row in metrics["thresholds"] if row["threshold"] == 0.5)
    assert (counts["tp"][500], counts["fp"][500]) == (half["tp"], half["fp"])
    assert data["charts"]["confusion"]["counts"] == metrics["images"]["confusion"]["true_by_predicted"]
    assert {"roc", "reliability", "probabilities", "groups"} <= set(data["charts"])
    wrong = [row for row in gallery(data) if row["label"] != row["truth"]]
    assert wrong
    assert all("wrong" in row["why"] for row in wrong)


def test_evaluate_writes_the_same_kind_of_page(labelled: Path, tmp_path: Path) -> None:
    from cancernet_cli.engine.evaluate.run import evaluate

    other = write_predictions(tmp_path / "other.parquet", metadata=OURS, seed=1, spread=0.6)
    result = evaluate(labelled, resamples=100, plots=False, against=other)
    data, pictures, html = content(result.page_file)
    assert not pictures
    assert {"roc", "confusion", "difference"} <= set(data["charts"])
    assert "preds against other" in html


def test_pictures_contours_and_placeholders(with_images: Path) -> None:
    result = report(with_images, workers=0)
    data, pictures, html = content(result.out)
    rows = gallery(data)
    assert [row["layers"] for row in rows] == [["image"], ["image"], ["image"], []]
    assert "not found" in rows[3]["missing"]
    assert rows[1]["contours"]
    assert not rows[0]["contours"]
    assert set(pictures) == {"0/image", "1/image", "2/image"}
    assert (result.pictures, result.missing, result.shown) == (3, 1, 4)
    assert "<b>" not in html
    assert "\u202e" not in html
    assert "thresholds" not in data["widgets"]  # no labels
    assert "blurred" in html
    again = report(with_images, workers=2, out=with_images.with_name("again.html"))
    assert again.out.read_bytes() == result.out.read_bytes()


def test_images_that_were_moved_are_found_by_the_option(with_images: Path, tmp_path: Path) -> None:
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    result = report(with_images, workers=0)
    assert (result.pictures, result.missing) == (0, 4)
    result = report(with_images, workers=0, images=tmp_path / "elsewhere")
    assert (result.pictures, result.missing) == (3, 1)
    with pytest.raises(InputError, match="not a folder"):
        report(with_images, images=tmp_path / "nowhere")


def test_pictures_stop_at_the_size_limit(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (400, 440, 3), np.uint8)
    names = [f"images/{i}.png" for i in range(12)]
    for name in names:
        cv2.imwrite(str(tmp_path / name), noise)
    table = write_predictions(tmp_path / "preds.parquet", metadata=OURS, images=12, path=names)
    result = report(table, ReportOptions(max_mb=1, resamples=100), workers=0)
    assert 2 <= result.pictures < 12
    assert result.size_bytes < 1e6
    assert "omitted to limit the size" in result.out.read_text()


def test_failures_are_counted_by_reason_and_have_no_picture(tmp_path: Path) -> None:
    table = write_predictions(
        tmp_path / "preds.parquet",
        metadata=OURS,
        images=6,
        status=pa.array(["ok", "failed", "failed", "ok", "ok", "ok"]).cast(WORDS),
        error=["", "decode: TruncatedImage: at <byte 3>", "decode: TruncatedImage: at byte 9", "", "", ""],
        prob_benign=pa.array([0.5, None, None, 0.5, 0.5, 0.5], pa.float32()),
        prob_malignant=pa.array([0.5, None, None, 0.5, 0.5, 0.5], pa.float32()),
        true_label=pa.array([None] * 6, WORDS),
    )
    data, _, html = content(report(table, workers=0).out)
    assert re.search(r"decode: TruncatedImage</th>\s*<td class=\"number\">2<", html)
    failed = gallery(data)[1]
    assert failed["probs"] is None
    assert failed["error"] == "decode: TruncatedImage: at <byte 3>"


def test_a_long_table_is_sampled_with_exact_counts(tmp_path: Path) -> None:
    many = 100_000
    table = write_predictions(tmp_path / "preds.parquet", metadata=OURS, images=many, spread=0.3, row_group_size=4096)
    result = report(table, resamples=100, pictures=5, rows=500, workers=0)
    data, _, html = content(result.out)
    assert (result.rows, result.shown) == (many, 500)
    assert "A sample: 500 of 100,000 rows" in html
    assert sum(sum(group["counts"]) for group in data["charts"]["probabilities"]["groups"]) == many
    errors = sorted((1 - row["probs"][row["truth"] == "malignant"] for row in gallery(data)), reverse=True)
    assert errors[50] > 0.9  # the most wrong ones are among them
    assert result.size_bytes < 2e6


def test_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not found"):
        report(tmp_path / "none.parquet")
    with pytest.raises(InputError, match="no CancerNet metadata"):
        report(write_predictions(tmp_path / "other.parquet"))


def test_outlines_follow_the_mask() -> None:
    mask = np.zeros((100, 200), np.uint8)
    mask[20:80, 50:150] = 255
    (outline,) = mask_contours(mask, (400, 200))
    points = np.array(outline).reshape(-1, 2)
    assert points.min(axis=0) == pytest.approx([100, 40], abs=3)
    assert points.max(axis=0) == pytest.approx([300, 160], abs=3)
    assert mask_contours(np.zeros((9, 9), np.uint8), (90, 90)) == []


def test_a_slide_has_a_thumbnail_a_heat_map_and_its_most_telling_tiles(tmp_path: Path) -> None:
    from cancernet_cli.engine.report.slide_pictures import add_slide
    from cancernet_cli.engine.report.thumbnails import PictureTask, RowPictures

    slide = tmp_path / "slide.tif"
    write_tiled(slide, tissue_slide(1500, 1000))
    x, y = (side.ravel().tolist() for side in np.meshgrid(np.arange(0, 1500, 250), np.arange(0, 1000, 250)))
    p = np.linspace(0.02, 0.98, len(x))
    columns = {
        **{"slide": "slide.tif", "x": x, "y": y, "mpp": 0.5, "width_px": 250, "height_px": 250},
        **{"probs": np.column_stack([1 - p, p]).tolist(), "labels": ["benign"] * len(x)},
        **{"classes": ["benign", "malignant"], "positive": "malignant", "threshold": 0.5},
    }
    found = RowPictures(0)
    add_slide(found, PictureTask(0, "slide", bytes(slide), {}, columns))
    assert set(found.layers) == {"image", "heatmap"}
    told = [(why, round(value, 2)) for why, value, _ in found.parts]
    assert [why for why, _ in told] == ["highest"] * 3 + ["lowest"] * 3 + ["at the threshold"] * 3
    assert told[0][1] == 0.98
    assert told[3][1] == 0.02
    assert abs(told[6][1] - 0.5) < 0.05
    assert cv2.imdecode(np.frombuffer(found.parts[0][2], np.uint8), cv2.IMREAD_COLOR).shape[:2] == (224, 224)
