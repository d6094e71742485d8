"""`cancernet evaluate` as a person meets it: exit codes, stdout, stderr, files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import cancernet
from tests.prediction_tables import OURS, write_predictions

QUICK = ("--resamples", "100", "--no-plots")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_predictions(tmp_path / "preds.parquet", metadata=OURS)


def test_a_person_sees_figures_thresholds_and_where_it_is(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cancernet("evaluate", table, *QUICK) == 0
    said = capsys.readouterr().out
    assert "80 labelled images (40 benign, 40 malignant) of 16 known patients" in said
    assert "By slide (32): AUROC" in said
    assert "By patient (16): AUROC" in said
    assert "Thresholds on the probability of malignant" in said
    assert "* the table's own" in said
    assert "chosen on these same labels: optimistic" in said
    assert str(table.with_name("preds.evaluation") / "report.md") in said
    assert "Research use only" in said
    assert max(map(len, said.splitlines())) <= 200


def test_json_is_one_object_and_quiet_is_silent(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cancernet("evaluate", table, *QUICK, "--format", "json") == 0
    said = json.loads(capsys.readouterr().out)
    written = json.loads((table.with_name("preds.evaluation") / "metrics.json").read_text())
    assert said["metrics"] == written
    assert cancernet("evaluate", table, *QUICK, "--format", "quiet", "--overwrite") == 0
    done = capsys.readouterr()
    assert (done.out, done.err) == ("", "")


def test_two_tables_with_verdict_and_mcnemar(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_predictions(table.with_name("other.parquet"), metadata=OURS, seed=1, spread=0.6)
    assert cancernet("evaluate", table, "--against", other, *QUICK) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "preds against other" in said
    assert "- AUROC: preds is better by" in said
    assert "McNemar's exact test" in said
    assert "other correct other wrong" in said


def test_leaks_come_first_and_red(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    table = write_predictions(tmp_path / "t.parquet", metadata={**OURS, "leaks": '["patient p1 on both sides"]'})
    assert cancernet("evaluate", table, *QUICK) == 0
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert "LEAKING SPLIT: no figure below is an estimate" in first
    assert "\x1b[1;31m" in first
    assert "patient p1 on both sides" in second


def test_refusals_have_exit_codes_and_a_way_out(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cancernet("evaluate", table.with_name("none.parquet")) == 3
    assert "fix: name a Parquet or CSV table" in capsys.readouterr().err
    assert cancernet("evaluate", table, "--positive", "cancer") == 2
    assert "fix: choose one of: benign, malignant" in capsys.readouterr().err
    assert cancernet("evaluate", table, "--threshold", "1.5") == 2
    assert cancernet("evaluate", table, *QUICK, "--format", "quiet") == 0
    assert cancernet("evaluate", table, *QUICK) == 6
    assert "--overwrite" in capsys.readouterr().err
