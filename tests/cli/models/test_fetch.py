"""`cancernet models fetch` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cancernet_cli.cli.app import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one call."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    shown = capsys.readouterr()
    return int(left.value.code or 0), shown.out, shown.err


def test_fetch_shows_how_to_use_the_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "models", "fetch", "tf_efficientnet_lite0", "--out", str(tmp_path))
    path = tmp_path / "tf_efficientnet_lite0.safetensors"
    assert code == 0
    assert "license: Apache-2.0" in out
    assert f"cancernet finetune DATA --backbone tf_efficientnet_lite0 --weights {path}" in out
    code, _, err = run(capsys, "models", "fetch", "vgg16", "--out", str(tmp_path))
    assert code == 4
    assert f"save it as {tmp_path}/vgg16-" in err
