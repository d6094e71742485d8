"""A minimal measurement of a model with random weights."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from cancernet_cli.core.options import BenchOptions
from cancernet_cli.engine.bench import limits
from cancernet_cli.engine.bench import run as bench
from cancernet_cli.engine.bench.process import ProcessRun
from cancernet_cli.inference.runner import Outputs

PROCESS = ProcessRun(wall_s=2.0, core_s=3.0, peak_main_bytes=500_000_000, peak_tree_bytes=600_000_000)
BATCH_S = 0.02


class SlowRunner:
    """Takes `BATCH_S` per batch; `most` is the largest number of batches in flight at once."""

    in_flight = 1

    def __init__(self) -> None:
        self.under_way = self.most = 0

    def start(self, pixels: Tensor) -> Callable[[], Outputs]:
        time.sleep(BATCH_S)
        self.under_way += 1
        self.most = max(self.most, self.under_way)

        def wait() -> Outputs:
            self.under_way -= 1
            return Outputs(np.zeros((len(pixels), 2), np.float32), np.ones(len(pixels), np.float32), None)

        return wait


def make_quick(patch: pytest.MonkeyPatch) -> None:
    """Measure for fractions of a second and start no process (a slow test does)."""
    patch.setattr(limits, "MEASURE_S", 0.05)
    patch.setattr(limits, "LATENCY_S", 0.05)
    patch.setattr(limits, "MATRIX_SIDE", {"cpu": 256, "cuda": 512})
    patch.setattr(bench, "classify_process", lambda *args, **kwargs: PROCESS)


def tiny_options(model: Path, **more: Any) -> BenchOptions:
    """Six small images, measured once, by PyTorch in the main process."""
    asked: dict[str, Any] = {
        "model": str(model),
        "files": 6,
        "size": "160x120",
        "repeat": 1,
        "warm_up": 0,
        "runtime": "torch",
        "batch_size": 2,
        "workers": 0,
    }
    return BenchOptions(**(asked | more))
