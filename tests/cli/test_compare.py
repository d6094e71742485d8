"""`cancernet compare` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cancernet_cli.cli.app import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    printed = capsys.readouterr()
    return int(left.value.code or 0), printed.out, printed.err


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cancernet_cli.engine.compare.plots.plot_confusion", lambda *a, **k: None)
    monkeypatch.setattr("cancernet_cli.engine.compare.plots.plot_history", lambda *a, **k: None)
    monkeypatch.setattr("cancernet_cli.engine.compare.plots.plot_intervals", lambda *a, **k: None)


def test_the_command_prints_json_and_then_refuses_other_options(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compare", str(tiny_folder), "--out", str(tmp_path / "out"), "--backbones", "test_efficientnet"]
    command += ["--segmenters", "threshold", "--weights", "none", "--folds", "2", "--epochs", "1", "--no-baselines"]
    command += ["--workers", "0", "--device", "cpu", "--format", "json"]
    code, out, err = run(capsys, *command)
    assert code == 0, err
    found = json.loads(out)
    assert found["out"] == str(tmp_path / "out")
    assert [row["network"] for row in found["rows"]] == ["test_efficientnet"]
    assert "features, test_efficientnet, threshold: 8/8 images" in err
    code, out, err = run(capsys, *command, "--seed", "1")
    assert code == 6
    assert out == ""
    assert "was made with" in err
    assert "--overwrite" in err


def test_a_weights_option_that_makes_no_sense_is_a_usage_error(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(
        capsys, "compare", str(tiny_folder), "--out", str(tmp_path / "out"), "--weights", "w.safetensors"
    )
    assert code == 2
    assert "give imagenet, none, or name=file" in err
