"""What the loop of a classify run waits for, seen from outside: its loader and its runner, wrapped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from torch import Tensor

from cancernet_cli.data.loading.images import DecodedBatch, load_batches
from cancernet_cli.engine.classify import run as classify
from cancernet_cli.inference.open import open_runner
from cancernet_cli.inference.runner import Outputs, Runner

AHEAD = 2  # batches that each worker has ready (`data.loading.workers.start_workers`)


@dataclass
class Waiting:
    """Seconds that the loop spent in the loader and in the runner, once the first batch had come.

    `for_answers_s` holds what a runner computes while it is called, too: PyTorch on a CPU is done when it returns.
    """

    for_batches_s: float = 0.0
    for_answers_s: float = 0.0
    arrivals: list[tuple[float, int]] = field(default_factory=list)  # of each batch: when, and how many files
    workers: int = 0
    began: float | None = None
    ended: float = 0.0

    @property
    def whole_s(self) -> float:
        """From the first batch to the last answer."""
        return self.ended - self.began if self.began is not None else 0.0

    def files_per_s(self) -> float | None:
        """The rate at which files went through; None where there were too few batches to tell.

        Not from row to row: two batches are under way before the first rows come, so that n batches would be counted
        over the time of n - 2. Where the loop waits for answers, the networks do every batch between `began` and
        `ended`. Where it waits for batches, those that were decoded before the networks were open are left out.
        """
        ready = 1 + AHEAD * self.workers if self.workers else 0
        if len(self.arrivals) < 2 * (ready + 1):
            return None
        if self.for_answers_s >= self.for_batches_s:
            return sum(files for _, files in self.arrivals) / max(self.whole_s, 1e-9)
        after = self.arrivals[ready:]
        return sum(files for _, files in after[1:]) / max(after[-1][0] - after[0][0], 1e-9)


@contextmanager
def watching() -> Iterator[Waiting]:
    """Look on while `engine.classify.run` runs in this process.

    It asks for its loader and its runner by name; for the length of the block these names give wrapped ones.
    """
    waiting = Waiting()

    def load(*args: Any, **kwargs: Any) -> Iterator[DecodedBatch]:
        waiting.workers = kwargs["workers"]
        return _watched_batches(load_batches(*args, **kwargs), waiting)

    def open_watched(*args: Any, **kwargs: Any) -> Runner:
        return _WatchedRunner(open_runner(*args, **kwargs), waiting)

    with patch.multiple(classify, load_batches=load, open_runner=open_watched):
        yield waiting


def _watched_batches(batches: Iterator[DecodedBatch], waiting: Waiting) -> Iterator[DecodedBatch]:
    while True:
        asked = time.perf_counter()
        batch = next(batches, None)
        now = time.perf_counter()
        if waiting.began is not None:
            waiting.for_batches_s += now - asked
        if batch is None:
            return
        if waiting.began is None:
            waiting.began = waiting.ended = now
        waiting.arrivals.append((now, len(batch.files)))
        yield batch


class _WatchedRunner:
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
