"""`classify --out preds.csv`: a spreadsheet next to the Parquet table, whatever happens in between."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cancernet_cli import classify
from cancernet_cli.core.errors import OptionError, OutputError
from cancernet_cli.core.events import Event, Note
from cancernet_cli.core.records import RunResult
from cancernet_cli.outputs.tables import spreadsheets
from tests.tiny_model import write_tiny_model

Run = Callable[..., RunResult]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture
def run(tmp_path: Path, model: str, tiny_folder: Path) -> Run:
    def go(name: str = "preds.csv", **options: Any) -> RunResult:
        return classify(tiny_folder, out=tmp_path / name, model=model, device="cpu", workers=0, **options)

    return go


def test_the_spreadsheet_has_the_rows_of_the_table(run: Run, tmp_path: Path) -> None:
    result = run()
    assert (result.out, result.spreadsheet) == (tmp_path / "preds.parquet", tmp_path / "preds.csv")
    assert result.patients_file == tmp_path / "preds.patients.parquet"
    rows = pq.read_table(result.out).to_pylist()
    lines = (tmp_path / "preds.csv").read_text().splitlines()
    assert len(lines) == 1 + len(rows)
    assert lines[1].startswith(f'"{rows[0]["path"]}","image","ok","","{rows[0]["label"]}"')
    units = pq.read_table(result.patients_file)["unit"].to_pylist()
    assert len((tmp_path / "preds.patients.csv").read_text().splitlines()) == 1 + len(units)
    assert (units.count("patient"), units.count("slide")) == (4, 5)
    assert list(tmp_path.glob("*.partial")) == []


def test_the_same_command_again_is_finished_and_writes_what_is_missing(run: Run, tmp_path: Path) -> None:
    run()
    made = {path.name: path.read_bytes() for path in tmp_path.glob("preds*.csv")}
    assert len(made) == 2
    (tmp_path / "preds.csv").unlink()
    (tmp_path / "preds.patients.csv").write_text("mine")
    heard: list[Event] = []
    assert run(report=heard.append).reused == 8
    assert any(isinstance(event, Note) and "preds.csv is already complete" in event.message for event in heard)
    assert (tmp_path / "preds.csv").read_bytes() == made["preds.csv"]
    assert (tmp_path / "preds.patients.csv").read_text() == "mine"


def test_a_finished_parquet_run_becomes_a_spreadsheet_without_networks(run: Run, tmp_path: Path) -> None:
    before = run("preds.parquet").out.stat().st_mtime_ns
    assert run("preds.xlsx").reused == 8
    assert (tmp_path / "preds.xlsx").is_file()
    assert (tmp_path / "preds.parquet").stat().st_mtime_ns == before
    assert set(json.loads((tmp_path / "preds.run.json").read_text())["spreadsheets"]) == {
        "preds.xlsx",
        "preds.patients.xlsx",
    }


def test_new_files_replace_a_spreadsheet_unless_it_was_edited(run: Run, tmp_path: Path, tiny_folder: Path) -> None:
    run()
    shutil.copy(next(tiny_folder.rglob("*.png")), tiny_folder / "benign" / "more.png")
    assert run().files == 9
    assert len((tmp_path / "preds.csv").read_text().splitlines()) == 10
    (tmp_path / "preds.csv").write_text("edited")
    shutil.copy(next(tiny_folder.rglob("*.png")), tiny_folder / "benign" / "again.png")
    with pytest.raises(OutputError, match=r"preds.csv was edited since a run wrote it; rename it"):
        run()
    assert (tmp_path / "preds.csv").read_text() == "edited"
    assert pq.read_metadata(tmp_path / "preds.parquet").num_rows == 9
    assert run(overwrite=True).files == 10
    assert len((tmp_path / "preds.csv").read_text().splitlines()) == 11


def test_a_file_of_someone_else_is_not_replaced(run: Run, tmp_path: Path) -> None:
    (tmp_path / "preds.csv").write_text("mine")
    with pytest.raises(OutputError, match=r"preds.csv exists, and no run wrote it"):
        run()
    assert (tmp_path / "preds.csv").read_text() == "mine"
    assert not (tmp_path / "preds.parquet").exists()


def test_too_many_files_for_excel_are_refused_before_the_first_is_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spreadsheets, "MOST_EXCEL_ROWS", 7)
    with pytest.raises(OutputError, match=r"preds.xlsx would have 8 rows; Excel holds 7; write preds.csv"):
        run("preds.xlsx")
    assert list(tmp_path.glob("preds*")) == []


def test_the_output_is_no_input(tmp_path: Path, model: str, tiny_folder: Path) -> None:
    (tmp_path / "list.csv").write_text(f"path\n{next(tiny_folder.rglob('*.png'))}\n")
    with pytest.raises(OptionError, match=r"list.csv', which is an input"):
        classify(tmp_path / "list.csv", out=tmp_path / "list.csv", model=model, device="cpu", overwrite=True)


def test_patients_of_an_earlier_run_do_not_stay(run: Run, tmp_path: Path) -> None:
    assert run("preds.parquet").patients_file is not None
    result = run("preds.parquet", labels="none", overwrite=True)
    assert result.patients_file is None
    assert not (tmp_path / "preds.patients.parquet").exists()
