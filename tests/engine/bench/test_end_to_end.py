"""The end-to-end rate, tested on runners of known speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from torch import Tensor

from cancernet_cli.core.events import silent
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.engine.bench.end_to_end import WholeRun, whole_run
from cancernet_cli.engine.bench.synthetic_images import write_fields
from cancernet_cli.engine.classify.pending import Hooks
from cancernet_cli.inference.runner import Outputs
from tests.tiny_model import write_tiny_model

BATCH, BATCH_S = 2, 0.1  # at most 20 images per second


class Computing:
    """Computes within `start`, as PyTorch does on a CPU."""

    in_flight = 1

    def start(self, pixels: Tensor) -> Callable[[], Outputs]:
        time.sleep(BATCH_S)
        rows = len(pixels)
        return lambda: Outputs(np.zeros((rows, 2), np.float32), np.zeros(rows, np.float32), None)


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
    """Counting from row to row made it 8 times too high with two batches, 1.8 times with three."""
    found = run(batches)
    assert found.images_per_s <= BATCH / BATCH_S
    assert found.is_steady == (batches == 8)


def test_a_measured_run_writes_the_same_table_and_reports_what_it_waited_for(tiny_folder: Path, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny")
    options = ClassifyOptions(
        model=str(model), out=tmp_path / "t.parquet", labels="none", batch_size=2, workers=0, device="cpu"
    )
    run = whole_run(tiny_folder, options, silent)
    assert (run.files, run.failed) == (8, 0)
    assert pq.read_table(run.table).num_rows == 8
    assert 0 < run.first_row_s < run.wall_s
    assert run.main_core_s > 0
    assert 0 < run.waiting_for_batches < 1  # with no workers, decoding itself
    assert 0 < run.waiting_for_answers < 1
    assert run.waiting_for_batches + run.waiting_for_answers < 1
    again = whole_run(tiny_folder, options, silent)  # nothing is reused
    assert again.files == 8
    assert pq.read_table(again.table).equals(pq.read_table(run.table))
