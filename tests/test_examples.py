"""The examples run unchanged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
FIELDS = sorted(path for path in (EXAMPLES / "slides").rglob("*") if path.is_file())


def test_classify_from_python(tmp_path: Path) -> None:
    out = tmp_path / "predictions.parquet"
    script = EXAMPLES / "classify_from_python.py"
    done = subprocess.run(
        [sys.executable, str(script), str(EXAMPLES / "slides"), str(out)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    table = pq.read_table(out)
    assert table.column("path").to_pylist() == [path.relative_to(EXAMPLES / "slides").as_posix() for path in FIELDS]
    assert set(table.column("status").to_pylist()) == {"ok"}
    assert done.stdout.count("P(malignant)") == len(FIELDS)


@pytest.mark.parametrize("path", FIELDS, ids=lambda path: path.name)
def test_fields_are_what_the_readme_says(path: Path) -> None:
    with Image.open(path) as image:
        assert (image.size, image.mode) == ((700, 460), "RGB")


def test_fields_come_in_three_formats_and_stay_small() -> None:
    assert {path.suffix for path in FIELDS} == {".png", ".jpg", ".tif"}
    assert sum(path.stat().st_size for path in FIELDS) < 4_000_000
