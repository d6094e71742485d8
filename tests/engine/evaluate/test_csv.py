"""Evaluating a table that was converted to CSV, and perhaps edited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cancernet_cli import convert, evaluate
from cancernet_cli.core.errors import InputError
from tests.prediction_tables import OURS, write_predictions


@pytest.fixture
def table(tmp_path: Path) -> Path:
    table = write_predictions(tmp_path / "preds.parquet", metadata=OURS)
    convert(table, tmp_path / "preds.csv")
    (tmp_path / "preds.run.json").write_text(json.dumps({"result": OURS}))
    return table


def test_the_figures_are_those_of_the_parquet_table(table: Path, tmp_path: Path) -> None:
    one = evaluate(table, out=tmp_path / "one", resamples=100, plots=False)
    two = evaluate(table.with_suffix(".csv"), out=tmp_path / "two", resamples=100, plots=False)
    assert two.metrics | {"table": None} == one.metrics | {"table": None}
    assert two.table().equals(one.table())
    assert two.table().filter(two.table()["figure"].to_numpy(zero_copy_only=False) == "auroc").num_rows >= 5


def test_a_table_saved_with_semicolons_can_be_compared(table: Path, tmp_path: Path) -> None:
    text = table.with_suffix(".csv").read_text()
    (tmp_path / "excel.csv").write_text("\ufeff" + text.replace('"', "").replace(",", ";"), "utf-8")
    with pytest.raises(InputError, match="no CancerNet metadata; if another program wrote it again, pass --positive"):
        evaluate(tmp_path / "excel.csv")
    found = evaluate(
        tmp_path / "excel.csv", positive="malignant", threshold=0.4, against=table, resamples=100, plots=False
    )
    assert found.metrics["comparison"]["images"] == 80


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "p.patients.csv",
            "unit,patient,prob_benign,prob_malignant\n",
            "is a table of patients; evaluate the predictions",
        ),
        ("p.csv", "", "p.csv cannot be read as a table"),
        ("p.csv", "path,prob_benign,prob_malignant\na,x,y\n", "p.csv"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as caught:
        evaluate(tmp_path / name, positive="malignant", threshold=0.5, plots=False)
    assert said in str(caught.value)
