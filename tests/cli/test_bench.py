"""`cancernet bench` from the command line: exit codes, stdout, stderr, files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench_runs import make_quick
from tests.command_line import cancernet
from tests.tiny_model import write_tiny_model

QUICK = ("--files", "4", "--size", "96x80", "--repeat", "1", "--warm-up", "0", "--runtime", "torch", "--workers", "0")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_quick(monkeypatch)
    return write_tiny_model(tmp_path / "tiny")


def test_the_terminal_shows_stages_rates_memory_and_the_bottleneck(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ("--json", tmp_path / "b.json", "--plot", tmp_path / "b.png", "--sweep-batch-size", "1,2")
    assert cancernet("bench", "--model", model, *QUICK, *files) == 0
    said = capsys.readouterr().out
    for stage in ("read file", "decode", "resize, split into views", "host to device", "segment", "predict and write"):
        assert stage in said
    assert "4 images (generated 96x80 png), 1 views each" in said
    assert "loader alone, main process" in said
    assert "networks alone" in said
    unwrapped = " ".join(said.split())
    assert "main process 500 MB" in unwrapped
    assert "2.0 s for the command on one image" in unwrapped
    assert "best on this machine: --batch-size" in said
    assert f"record       {tmp_path / 'b.json'}" in said
    assert " ".join(json.loads((tmp_path / "b.json").read_text())["verdict"].split()) in unwrapped
    assert (tmp_path / "b.png").is_file()
    assert max(map(len, said.splitlines())) <= 200


def test_json_is_one_object_quiet_is_silent_and_two_can_be_compared(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cancernet("bench", "--model", model, *QUICK, "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    old = tmp_path / "old.json"
    old.write_text(json.dumps(found | {"versions": {"cancernet": "0.0"}}))
    assert cancernet("bench", "--model", model, *QUICK, "--compare", old) == 0
    said = capsys.readouterr().out
    assert "Compared with the measurement of" in said
    assert "different versions: cancernet was 0.0" in said
    assert "before" in said
    assert cancernet("bench", "--model", model, *QUICK, "--format", "quiet") == 0
    done = capsys.readouterr()
    assert (done.out, done.err) == ("", "")


def test_refusals_have_exit_codes_and_a_way_out(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cancernet("bench", "--size", "big") == 2
    assert "pass width and height in pixels" in " ".join(capsys.readouterr().err.split())
    assert cancernet("bench", "--model", model, "--compare", tmp_path / "none.json") == 3
    assert "fix: pass a file written by `cancernet bench --json`" in capsys.readouterr().err
    assert cancernet("bench", "--model", "no_such_model") == 4
    assert cancernet("bench", "--model", model, "--input", tmp_path / "nowhere", *QUICK) == 3
