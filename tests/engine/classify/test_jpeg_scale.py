"""`--jpeg-scale auto`: nearly the same probabilities, the same sizes, and recorded in the table."""

from __future__ import annotations

from pathlib import Path

import cv2
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cancernet_cli import classify
from cancernet_cli.core.errors import OutputError
from tests.he_images import he_like
from tests.tiny_model import write_tiny_model


def test_a_table_from_shrunk_jpegs_records_it_and_is_not_mixed_with_others(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(3):
        smooth = cv2.GaussianBlur(he_like(seed, 320, 256), (0, 0), 3)
        Image.fromarray(smooth).save(folder / f"{seed}.jpg", quality=95)
    model = str(write_tiny_model(tmp_path / "tiny_model"))
    out = tmp_path / "predictions.parquet"
    asked = {"out": out, "model": model, "device": "cpu", "workers": 0}
    classify(folder, **asked)
    full = pq.read_table(out)
    assert full.schema.metadata[b"cancernet.jpeg_scale"] == b"full"
    with pytest.raises(OutputError):
        classify(folder, jpeg_scale="auto", **asked)
    classify(folder, jpeg_scale="auto", overwrite=True, **asked)
    quick = pq.read_table(out)
    assert quick.schema.metadata[b"cancernet.jpeg_scale"] == b"auto"
    assert quick["width_px"].to_pylist() == full["width_px"].to_pylist() == [320] * 3
    assert quick["prob_malignant"].to_pylist() == pytest.approx(full["prob_malignant"].to_pylist(), abs=0.05)
    assert quick["prob_malignant"].to_pylist() != full["prob_malignant"].to_pylist()
