"""The end-to-end rate, against runners of known speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from cancernet_cli.core.events import silent
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.engine.bench.end_to_end import WholeRun, whole_run
from cancernet_cli.engine.bench.sweep import best
from cancernet_cli.engine.bench.synthetic_images import write_fields
from cancernet_cli.engine.classify.pending import Hooks
from cancernet_cli.inference.runner import Answer
from tests.tiny_model import write_tiny_model

BATCH, BATCH_S = 2, 0.1  # 20 images a second and no more


class Computing:
    """Takes its time within `start`, as PyTorch does on a CPU."""

    in_flight = 1

    def start(self, pixels: Tensor) -> Callable[[], Answer]:
        time.sleep(BATCH_S)
        rows = len(pixels)
        return lambda: Answer(np.zeros((rows, 2), np.float32), np.zeros(rows, np.float32), None)


@pytest.fixture
def run(tmp_path: Path) -> Callable[[int], WholeRun]:
    model = write_tiny_model(tmp_path / "model", segmenter="none")

    def go(batches: int) -> WholeRun:
        write_fields(tmp_path / str(batches), BATCH * batches, 64, 48, "png")
        options = ClassifyOptions(
            out=tmp_path / "t" / "t.parquet", model=str(model), labels="none", device="cpu", batch_size=BATCH, workers=1
        )
        return whole_run(tmp_path / str(batches), options, silent, Hooks(open_runner=lambda *_, **__: Computing()))

    return go


@pytest.mark.parametrize("batches", [2, 3, 8])
def test_the_rate_is_never_more_than_the_runner_gives(batches: int, run: Callable[[int], WholeRun]) -> None:
    """Counted from row to row it was 8 times too high with two batches, 1.8 times with three."""
    found = run(batches)
    assert found.images_per_s <= BATCH / BATCH_S
    assert found.is_steady == (batches == 8)


def test_unsteady_measurements_are_not_advised() -> None:
    spread = {"median": 300.0, "min": 300.0, "max": 300.0}
    rows = [
        {"batch_size": 8, "images_per_s": {"median": 50.0, "min": 50.0, "max": 50.0}, "is_steady": True},
        {"batch_size": 32, "images_per_s": spread, "is_steady": False},
    ]
    assert best("batch_size", rows) == 8
