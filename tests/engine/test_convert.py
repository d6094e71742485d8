"""Writing a table again in another format."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cancernet_cli import convert
from cancernet_cli.core.errors import CancernetError, InputError, OptionError, OutputError
from cancernet_cli.outputs.tables import spreadsheets
from tests.prediction_tables import OURS, write_predictions


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_predictions(tmp_path / "preds.parquet", metadata=OURS)


def test_there_and_back_nothing_is_lost(table: Path, tmp_path: Path) -> None:
    result = convert(table, tmp_path / "preds.csv")
    assert (result.rows, result.columns, result.out) == (80, 11, tmp_path / "preds.csv")
    assert convert(tmp_path / "preds.csv", tmp_path / "again.parquet").rows == 80
    assert pq.read_table(tmp_path / "again.parquet").to_pydict() == pq.read_table(table).to_pydict()
    assert result.table().num_rows == 80


def test_parquet_keeps_types_and_metadata(table: Path, tmp_path: Path) -> None:
    convert(table, tmp_path / "copy.parquet")
    assert pq.read_schema(tmp_path / "copy.parquet").equals(pq.read_schema(table), check_metadata=True)


def test_csv_becomes_excel_unless_it_has_too_many_rows(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(table, tmp_path / "preds.csv")
    assert convert(tmp_path / "preds.csv", tmp_path / "preds.xlsx").rows == 80
    monkeypatch.setattr(spreadsheets, "MOST_EXCEL_ROWS", 79)
    with pytest.raises(OutputError, match="would have 80 rows"):
        convert(tmp_path / "preds.csv", tmp_path / "more.xlsx")
    assert not (tmp_path / "more.xlsx").exists()


@pytest.mark.parametrize(
    ("source", "to", "error", "said"),
    [
        ("none.parquet", "o.csv", InputError, "file not found"),
        (
            "preds.parquet",
            "o.ods",
            OptionError,
            "o.ods is unknown; give it a name that ends in .parquet, .csv or .xlsx",
        ),
        ("preds.parquet", "preds.parquet", OptionError, "are both"),
        ("preds.parquet", "there.csv", OutputError, "there.csv exists; choose another name, or pass --overwrite"),
        ("bad.parquet", "o.csv", InputError, "bad.parquet cannot be read as Parquet"),
        ("empty.csv", "o.parquet", InputError, "empty.csv cannot be read as CSV"),
        ("book.xlsx", "o.csv", InputError, "is a workbook, which is written but not read; save the sheet as CSV"),
        ("lists.parquet", "o.csv", InputError, "column parts has several values per row"),
    ],
)
def test_what_cannot_be_converted_is_refused(
    table: Path, tmp_path: Path, source: str, to: str, error: type[CancernetError], said: str
) -> None:
    for name, content in {"there.csv": "x", "bad.parquet": "no table", "empty.csv": "", "book.xlsx": "PK"}.items():
        (tmp_path / name).write_text(content)
    pq.write_table(pa.table({"parts": [[1, 2]]}), tmp_path / "lists.parquet")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error) as caught:
        convert(tmp_path / source, tmp_path / to)
    assert said in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_an_existing_file_is_replaced_if_asked(table: Path, tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("x")
    assert convert(table, tmp_path / "there.csv", overwrite=True).rows == 80
