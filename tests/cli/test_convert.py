"""`cancernet convert` as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cancernet_cli.cli.app import main
from tests.prediction_tables import OURS, write_predictions


def test_it_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, out = write_predictions(tmp_path / "preds.parquet", metadata=OURS), tmp_path / "preds.csv"
    with pytest.raises(SystemExit) as left:
        main(["convert", str(table), str(out)])
    assert not left.value.code
    assert capsys.readouterr().out == f"80 rows of 11 columns: {out}\n"
    with pytest.raises(SystemExit) as left:
        main(["convert", str(table), str(out)])
    assert left.value.code == 6
    assert "preds.csv exists" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["convert", str(table), str(out), "--overwrite", "--format", "json"])
    assert json.loads(capsys.readouterr().out) == {"table": str(table), "out": str(out), "rows": 80, "columns": 11}
