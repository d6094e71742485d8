"""Limits of the system on files and descriptors: an error within seconds, or a slower way, and never a hang."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.tiny_model import write_tiny_model

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them"),
    pytest.mark.timeout(400),  # a busy machine takes long to import PyTorch
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of 30 noisy images, and a model."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for number in range(30):
        cv2.imwrite(str(folder / f"{number}.png"), random.integers(0, 255, (48, 64, 3), np.uint8))
    return folder, write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def classified(inputs: tuple[Path, Path], out: Path, limit: int, value: int, workers: int) -> tuple[int, str]:
    """Exit code and messages of `cancernet classify` under a limit of the system."""
    script = (
        "import resource, sys\n"
        "from cancernet_cli.cli.app import main\n"
        f"resource.setrlimit({limit}, ({value}, {value}))\n"
        "main(sys.argv[1:])\n"
    )
    folder, model = inputs
    words = ["classify", str(folder), "--out", str(out), "--model", str(model), "--workers", str(workers)]
    done = subprocess.run(
        [sys.executable, "-c", script, *words, "--format", "quiet", "--batch-size", "4"],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_files_that_may_not_grow_are_an_error(inputs: tuple[Path, Path], tmp_path: Path, workers: int) -> None:
    code, words = classified(inputs, tmp_path / "p.parquet", resource.RLIMIT_FSIZE, 2000, workers)
    assert code == 6, words
    assert "cannot be written: " in words
    assert "Traceback" not in words
    assert not (tmp_path / "p.parquet").exists()


@pytest.mark.parametrize(("most", "workers"), [(64, 0), (64, 2), (12, 2)])
def test_too_few_descriptors_are_enough_or_an_error(
    inputs: tuple[Path, Path], tmp_path: Path, most: int, workers: int
) -> None:
    code, words = classified(inputs, tmp_path / "p.parquet", resource.RLIMIT_NOFILE, most, workers)
    assert "Traceback" not in words
    if code == 0:
        assert pq.read_metadata(tmp_path / "p.parquet").num_rows == 30
    else:
        assert code in (3, 4, 5, 6), words
        assert "Too many open files" in words
