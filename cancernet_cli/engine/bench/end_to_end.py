"""End-to-end benchmark: `engine.classify.run`, from files to a finished table."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cancernet_cli.core.events import Event, Note, Reporter, StageAdvanced, Warn
from cancernet_cli.core.files import partial_folder
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.data.loading.images import DecodedBatch
from cancernet_cli.engine.bench.timing import core_seconds
from cancernet_cli.engine.classify.pending import DEFAULT_HOOKS, STAGE, Hooks
from cancernet_cli.engine.classify.run import classify
from cancernet_cli.inference.runner import Outputs, Runner

AHEAD = 2  # batches that each worker prefetches (`data.loading.workers.start_workers`)


@dataclass(frozen=True)
class WholeRun:
    """One run over all files.

    wall_s: of the call, including opening the networks. images_per_s: without opening them, unless there were too few
    batches (`is_steady` is False); then it is files over `wall_s`, an underestimate. main_core_s, workers_core_s:
    processor time. waiting_for_batches, waiting_for_answers: fractions of the time from the first batch to the last
    output that the main loop spent waiting. table: the table written.
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


@dataclass
class Waiting:
    """Seconds that the main loop waited for the loader and for the runner, from the first batch on.

    for_answers_s: includes what a runner computes while it is called (PyTorch on CPU is done when `start` returns).
    arrivals: time and number of files of each batch.
    """

    for_batches_s: float = 0.0
    for_answers_s: float = 0.0
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    workers: int = 0
    began: float | None = None
    ended: float = 0.0

    @property
    def whole_s(self) -> float:
        """From the first batch to the last output."""
        return self.ended - self.began if self.began is not None else 0.0

    def files_per_s(self) -> float | None:
        """Throughput; None if there were too few batches to tell.

        Rows are no measure: two batches are in flight before the first rows arrive, so that n batches would be counted
        over the time of n - 2. If the loop waits for outputs, the networks process every batch between `began` and
        `ended`. If it waits for batches, those that were decoded before the networks were open are excluded.
        """
        ready = 1 + AHEAD * self.workers if self.workers else 0
        if len(self.arrivals) < 2 * (ready + 1):
            return None
        if self.for_answers_s >= self.for_batches_s:
            return sum(files for _, files in self.arrivals) / max(self.whole_s, 1e-9)
        after = self.arrivals[ready:]
        return sum(files for _, files in after[1:]) / max(after[-1][0] - after[0][0], 1e-9)

    def hooks(self, inner: Hooks) -> Hooks:
        """Hooks that measure a run whose loader and runner `inner` opens."""

        def load(*args: Any, **kwargs: Any) -> Iterator[DecodedBatch]:
            self.workers = kwargs["workers"]
            return self._timed(inner.load_batches(*args, **kwargs))

        def open_timed(*args: Any, **kwargs: Any) -> Runner:
            return _TimedRunner(inner.open_runner(*args, **kwargs), self)

        return replace(inner, load_batches=load, open_runner=open_timed)

    def _timed(self, batches: Iterator[DecodedBatch]) -> Iterator[DecodedBatch]:
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            now = time.perf_counter()
            if self.began is not None:
                self.for_batches_s += now - asked
            if batch is None:
                return
            if self.began is None:
                self.began = self.ended = now
            self.arrivals.append((now, len(batch.files)))
            yield batch


def whole_run(inputs: Path, options: ClassifyOptions, report: Reporter, hooks: Hooks = DEFAULT_HOOKS) -> WholeRun:
    """Classify everything under `inputs` into `options.out`, which is replaced.

    Args:
        report: receives notes and warnings, but not the run's progress. hooks: of the run that is measured.
    """
    device = _cuda(options.device)
    if device is not None:
        torch.cuda.reset_peak_memory_stats(device)
    options.out.unlink(missing_ok=True)  # nothing of an earlier run is reused
    shutil.rmtree(partial_folder(options.out), ignore_errors=True)
    clock, waiting = _RowClock(report), Waiting()
    before = core_seconds()
    started = time.perf_counter()
    result = classify(inputs, replace(options, overwrite=True), clock, waiting.hooks(hooks))
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


class _TimedRunner:
    def __init__(self, runner: Runner, waiting: Waiting) -> None:
        self._runner, self._waiting = runner, waiting
        self.in_flight = runner.in_flight

    def start(self, pixels: Tensor) -> Callable[[], Outputs]:
        asked = time.perf_counter()
        inner = self._runner.start(pixels)
        self._waiting.for_answers_s += time.perf_counter() - asked

        def wait() -> Outputs:
            asked = time.perf_counter()
            answer = inner()
            self._waiting.ended = time.perf_counter()
            self._waiting.for_answers_s += self._waiting.ended - asked
            return answer

        return wait


class _RowClock:
    """Records when the first rows arrive; passes notes and warnings on."""

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
    """The CUDA device that a run uses for this device name; None if it uses another kind."""
    is_cuda = name.startswith("cuda") or (name == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if name == "auto" else name) if is_cuda else None
