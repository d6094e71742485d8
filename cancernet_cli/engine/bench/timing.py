"""Wall and CPU time of a piece of work, with medians and spread."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

AT_LEAST_S = 0.05  # per measurement; shorter work is repeated within it


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum of repeated measurements."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float], scale: float = 1.0) -> Spread:
        """The spread of one or more values, each multiplied by `scale`."""
        found = [value * scale for value in values]
        return cls(statistics.median(found), min(found), max(found))


@dataclass(frozen=True)
class Cost:
    """Wall time, and CPU time over all threads of this process, in seconds."""

    wall_s: float
    core_s: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall_s + other.wall_s, self.core_s + other.core_s)

    def __truediv__(self, units: float) -> Cost:
        return Cost(self.wall_s / units, self.core_s / units)

    def __mul__(self, units: float) -> Cost:
        return Cost(self.wall_s * units, self.core_s * units)

    def less(self, other: Cost) -> Cost:
        """The cost without a part that was measured separately, at least 0."""
        return Cost(max(0.0, self.wall_s - other.wall_s), max(0.0, self.core_s - other.core_s))


def cost(work: Callable[[], object], device: torch.device | None = None) -> Cost:
    """Cost of one call; synchronises with the device before and after only."""
    synchronise(device)
    started, core = time.perf_counter(), time.process_time()
    work()
    synchronise(device)
    return Cost(time.perf_counter() - started, time.process_time() - core)


def costs(work: Callable[[], object], repeat: int, device: torch.device | None = None) -> list[Cost]:
    """Cost of a call, measured `repeat` times after a warm-up call."""
    first = cost(work, device)
    calls = max(1, min(1000, round(AT_LEAST_S / max(first.wall_s, 1e-9))))

    def several() -> None:
        for _ in range(calls):
            work()

    return [cost(several, device) / calls for _ in range(repeat)]


def synchronise(device: torch.device | None) -> None:
    """Wait until an accelerator has finished all queued work."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device is not None and device.type == "mps":
        torch.mps.synchronize()


def core_seconds() -> tuple[float, float]:
    """CPU time so far of this process, and of its children that have ended, in seconds."""
    times = os.times()
    return times.user + times.system, times.children_user + times.children_system
