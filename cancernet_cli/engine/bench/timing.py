"""Clocks for measurements: wall and processor time of a piece of work, medians and spread."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

AT_LEAST_S = 0.05  # of one measurement: a shorter piece of work is repeated within it


@dataclass(frozen=True)
class Spread:
    """Median, least and most of the same figure measured several times."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float], scale: float = 1.0) -> Spread:
        """The spread of at least one value, each times `scale`."""
        found = [value * scale for value in values]
        return cls(statistics.median(found), min(found), max(found))


@dataclass(frozen=True)
class Cost:
    """Seconds on the wall, and seconds of processor time over all of this process's threads."""

    wall_s: float
    core_s: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall_s + other.wall_s, self.core_s + other.core_s)

    def __truediv__(self, units: float) -> Cost:
        return Cost(self.wall_s / units, self.core_s / units)

    def __mul__(self, units: float) -> Cost:
        return Cost(self.wall_s * units, self.core_s * units)

    def less(self, other: Cost) -> Cost:
        """What remains without a part that was measured apart."""
        return Cost(max(0.0, self.wall_s - other.wall_s), max(0.0, self.core_s - other.core_s))


def cost(work: Callable[[], object], device: torch.device | None = None) -> Cost:
    """What one call takes; the device is waited for before and after, never in between."""
    synchronise(device)
    started, core = time.perf_counter(), time.process_time()
    work()
    synchronise(device)
    return Cost(time.perf_counter() - started, time.process_time() - core)


def costs(work: Callable[[], object], repeat: int, device: torch.device | None = None) -> list[Cost]:
    """What a call takes, measured `repeat` times after a call that does not count."""
    first = cost(work, device)
    calls = max(1, min(1000, round(AT_LEAST_S / max(first.wall_s, 1e-9))))

    def several() -> None:
        for _ in range(calls):
            work()

    return [cost(several, device) / calls for _ in range(repeat)]


def synchronise(device: torch.device | None) -> None:
    """Wait until an accelerator has done all that it was told."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device is not None and device.type == "mps":
        torch.mps.synchronize()


def core_seconds() -> tuple[float, float]:
    """Processor time so far of this process, and of those of its children that have ended."""
    times = os.times()
    return times.user + times.system, times.children_user + times.children_system
