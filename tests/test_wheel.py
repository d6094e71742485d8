"""The wheel, built and installed elsewhere, brings its models and works without the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[1]
MODELS = sorted(card.parent.name for card in (ROOT / "models").glob("*/card.toml"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without a network."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = out.glob("cancernet-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed package and nothing else; its dependencies are those of this environment."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(command, capture_output=True, check=True)
    return target


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`cancernet` from the installed package, in a folder outside the checkout."""
    script = "import sys; from cancernet_cli.cli.app import main; main(sys.argv[1:])"
    # PYTHONPATH comes before the environment's own packages, where an editable install may point at the checkout.
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def test_carries_code_models_and_licence_but_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert MODELS
    for model in MODELS:
        assert f"cancernet_cli/_models/{model}/card.toml" in names
        assert f"cancernet_cli/_models/{model}/model.safetensors" in names
    assert "cancernet_cli/py.typed" in names
    assert "cancernet/__init__.py" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"cancernet_cli", "cancernet"}


def test_runs_from_where_it_was_installed(installed: Path, tmp_path: Path) -> None:
    script = "import cancernet_cli, cancernet; assert cancernet.VERBS; print(cancernet_cli.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True)
    assert Path(done.stdout.strip()).is_relative_to(installed)


def test_lists_the_models_it_carries(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "models", "list", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert [model["name"] for model in json.loads(done.stdout)] == MODELS


def test_classifies_with_the_model_it_carries(installed: Path, tmp_path: Path) -> None:
    field = ROOT / "examples" / "slides" / "other" / "glass.jpg"
    (tmp_path / "field.jpg").write_bytes(field.read_bytes())
    done = run(
        installed, tmp_path, "classify", "field.jpg", "--out", "out.parquet", "--device", "cpu", "--format", "quiet"
    )
    assert done.returncode == 0, done.stderr
    (row,) = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert (row["path"], row["status"]) == ("field.jpg", "ok")
    assert row["prob_benign"] + row["prob_malignant"] == pytest.approx(1, abs=1e-6)
