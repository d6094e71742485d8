"""`cancernet models export` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cancernet_cli.cli.app import main
from tests.tiny_model import write_tiny_model


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one call."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    shown = capsys.readouterr()
    return int(left.value.code or 0), shown.out, shown.err


@pytest.mark.timeout(600)
def test_export_shows_the_differences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(write_tiny_model(tmp_path / "tiny", segmenter="none"))
    common = ("models", "export", model, "--format", "torchscript")
    code, out, _ = run(capsys, *common, "--out", str(tmp_path / "one"))
    assert code == 0
    assert "tiny as torchscript" in out
    assert "largest difference in probabilities: " in out
    assert "4 drawn images" in out
    code, out, _ = run(capsys, *common, "--out", str(tmp_path / "two"), "--show", "json")
    assert code == 0
    assert json.loads(out)["files"] == ["README.md", "card.json", "labels.txt", "model.pt"]
    code, out, err = run(capsys, *common, "--out", str(tmp_path / "two"))
    assert (code, out) == (6, "")
    assert "is not empty" in err
