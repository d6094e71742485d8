"""The whole way, as a user goes it: `engine.classify.run` from files to a finished table."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from cancernet_cli.core.events import Event, Note, Reporter, StageAdvanced, Warn
from cancernet_cli.core.files import partial_folder
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.engine.bench.timing import core_seconds
from cancernet_cli.engine.bench.watch import watching
from cancernet_cli.engine.classify.run import STAGE, classify


@dataclass(frozen=True)
class WholeRun:
    """One run over all files.

    `wall_s` is the call's, opening the networks included. `images_per_s` leaves opening out; where `is_steady` is False
    there were too few batches for that, and it is files over `wall_s`, too low. `main_core_s`, `workers_core_s`:
    processor time. What the loop waited for is a share of the time from the first batch to the last answer. `table` is
    what was written.
    """

    files: int
    failed: int
    wall_s: float
    first_row_s: float
    images_per_s: float
    is_steady: bool
    main_core_s: float
    workers_core_s: float
    waiting_for_batches: float
    waiting_for_answers: float
    device_peak_bytes: int | None
    table: Path


def whole_run(inputs: Path, options: ClassifyOptions, report: Reporter) -> WholeRun:
    """Classify everything under `inputs` into `options.out`, which is replaced.

    Args:
        report: gets notes and warnings; the run's own progress is not shown.
    """
    device = _cuda(options.device)
    if device is not None:
        torch.cuda.reset_peak_memory_stats(device)
    _forget(options.out)
    clock = _RowClock(report)
    before = core_seconds()
    started = time.perf_counter()
    with watching() as waiting:
        result = classify(inputs, replace(options, overwrite=True), clock)
    wall_s = time.perf_counter() - started
    main, workers = (after - was for after, was in zip(core_seconds(), before, strict=True))
    whole_s = max(waiting.whole_s, 1e-9)
    rate = waiting.files_per_s()
    return WholeRun(
        files=result.files,
        failed=result.failed,
        wall_s=wall_s,
        first_row_s=clock.first - started if clock.first is not None else wall_s,
        images_per_s=rate or result.files / wall_s,
        is_steady=rate is not None,
        main_core_s=main,
        workers_core_s=workers,
        waiting_for_batches=waiting.for_batches_s / whole_s,
        waiting_for_answers=waiting.for_answers_s / whole_s,
        device_peak_bytes=int(torch.cuda.max_memory_allocated(device)) if device is not None else None,
        table=options.out,
    )


class _RowClock:
    """Notes when the first rows come, and passes notes and warnings on."""

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self.first: float | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case StageAdvanced(stage, done) if stage == STAGE and done and self.first is None:
                self.first = time.perf_counter()
            case Note() | Warn():
                self._report(event)


def _cuda(name: str) -> torch.device | None:
    """The CUDA device that a run takes for this name; None where it takes another kind."""
    is_cuda = name.startswith("cuda") or (name == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if name == "auto" else name) if is_cuda else None


def _forget(out: Path) -> None:
    """Remove what an earlier run left, so that nothing of it is used again."""
    out.unlink(missing_ok=True)
    shutil.rmtree(partial_folder(out), ignore_errors=True)
