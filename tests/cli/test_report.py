"""`cancernet report` and `classify --report` as a person meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import cancernet
from tests.prediction_tables import OURS, write_predictions
from tests.tiny_model import write_tiny_model


def test_a_person_sees_where_the_page_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_predictions(tmp_path / "preds.parquet", metadata=OURS)
    page = tmp_path / "pages" / "report.html"
    assert cancernet("report", table, "--out", page, "--resamples", "100", "--workers", "0") == 0
    said = capsys.readouterr().out
    assert f"{page} (" in said
    assert "80 of 80 rows, 0 pictures" in said
    assert "80 pictures missing" in said
    assert cancernet("report", table, "--out", page, "--pictures", "0", "--resamples", "100", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 80
    assert cancernet("report", tmp_path / "none.parquet") == 3
    assert "fix: name a Parquet or CSV table" in capsys.readouterr().err


def test_classify_writes_the_page_along_with_the_table(
    tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, page = write_tiny_model(tmp_path / "model"), tmp_path / "report.html"
    call = ("classify", tiny_folder, "--model", model, "--out", tmp_path / "p.parquet", "--workers", "0")
    assert cancernet(*call, "--masks", tmp_path / "masks", "--report", page) == 0
    assert str(page) in capsys.readouterr().out
    first = page.read_bytes()
    assert first.count(b'/image":"data:image/jpeg;base64,') == 8
    page.unlink()
    assert cancernet(*call, "--masks", tmp_path / "masks", "--report", page) == 0  # the table is already complete
    assert page.read_bytes() == first
    assert cancernet(*call, "--report", tmp_path / "p.parquet") == 2
    assert "--report and --out are both" in capsys.readouterr().err
