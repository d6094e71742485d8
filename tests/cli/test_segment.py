"""`cancernet segment` as a person meets it: exit codes, stdout, stderr."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.command_line import cancernet
from tests.nuclei_images import in_a_grid, with_nuclei
from tests.tiny_model import write_tiny_unet


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(with_nuclei(240, 180, in_a_grid(240, 180, 60))[0]).save(folder / "a.png")
    return folder


def test_human_output_has_counts_and_paths(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert cancernet("segment", images, "--out", out, "--segmenter", "threshold", "--mpp", 0.25, "--workers", 0) == 0
    said = capsys.readouterr().out
    assert "12 nuclei in 1 file with threshold, 0 failed" in said
    assert "per mm²" in said
    assert str(out / "nuclei.parquet") in said.replace("\n", "")


def test_a_failed_file_is_exit_code_7(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (images / "b.png").write_bytes(b"no image")
    words = ("segment", images, "--out", tmp_path / "out", "--segmenter", "threshold", "--format", "json")
    assert cancernet(*words) == 7
    said = capsys.readouterr()
    record = json.loads(said.out)
    assert (record["files"], record["failed"], record["nuclei"]) == (2, 1, 12)
    assert "1 of 2 files failed" in said.err


def test_classify_points_to_segment(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_tiny_unet(tmp_path / "unet")
    assert cancernet("classify", images, "--model", model, "--out", tmp_path / "p.parquet") == 4
    assert "unet is a U-Net; use `cancernet segment`" in " ".join(capsys.readouterr().err.split())
