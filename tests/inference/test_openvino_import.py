"""OpenVINO and NNCF run without telemetry."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny_model import write_tiny_model

ROOT = Path(__file__).resolve().parents[2]
# Forked processes have the same hooks; what one of them does shows in the common stderr.
WATCHED = """
import os, socket, sys

def caught(event, given):
    if event in ("socket.connect", "socket.getaddrinfo"):
        os.write(2, f"REACHED {event} {given[1:]}\\n".encode())

sys.addaudithook(caught)
from cancernet_cli.cli.app import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_no_telemetry_and_no_files_in_the_users_home(tmp_path: Path, tiny_folder: Path, precision: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    model = write_tiny_model(tmp_path / "tiny_model", segmenter="none")
    unwanted = ("NNCF_CI", "NNCF_DEV", "PYTEST_CURRENT_TEST", "CI")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    environment |= {"HOME": str(home), "CANCERNET_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    out = tmp_path / "predictions.parquet"
    words = ["classify", str(tiny_folder), "--out", str(out), "--model", str(model), "--device", "cpu"]
    command = [sys.executable, "-c", WATCHED, *words, "--runtime", "openvino", "--precision", precision]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert out.exists()
    assert "REACHED" not in done.stderr
    assert not (home / "intel").exists()


def test_each_is_imported_in_one_place() -> None:
    plain = re.compile(r"^\s*import (openvino|nncf)\b", re.MULTILINE)
    found = [path.name for path in (ROOT / "cancernet_cli").rglob("*.py") if plain.search(path.read_text("utf-8"))]
    assert sorted(found) == ["int8.py", "openvino_import.py"]


def test_openvino_is_imported_only_when_networks_are_loaded() -> None:
    """Workers start before the import; a run on a GPU never imports it."""
    script = (
        "import sys, cancernet_cli.engine.classify.run; print(*sorted({'openvino', 'timm', 'nncf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
