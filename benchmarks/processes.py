"""Runs a command and measures it: time, and peak memory with all its worker processes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_EVERY_S = 0.05
CANCERNET = (sys.executable, "-m", "cancernet_cli.cli.app")


@dataclass(frozen=True)
class Measured:
    """What one call took.

    `peak_rss_bytes` is the main process alone; `peak_tree_bytes` the sum over it and its workers, in which pages that
    they share count once for each (an upper bound). Both are the highest of samples taken every 50 ms.
    """

    elapsed_s: float
    peak_rss_bytes: int
    peak_tree_bytes: int
    stdout: str


def measured(command: Sequence[str | Path]) -> Measured:
    """Run a command to its end.

    Raises:
        SystemExit: it failed; its own words are in the message.
    """
    with tempfile.TemporaryFile("w+") as data, tempfile.TemporaryFile("w+") as talk:
        started = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=data, stderr=talk)
        peak_rss = peak_tree = 0
        root = psutil.Process(process.pid)
        while process.poll() is None:
            sizes = [size for size in map(resident, [root, *descendants(root)]) if size]
            peak_rss = max(peak_rss, sizes[0] if sizes else 0)
            peak_tree = max(peak_tree, sum(sizes))
            time.sleep(SAMPLE_EVERY_S)
        elapsed_s = time.perf_counter() - started
        if process.returncode:
            talk.seek(0)
            raise SystemExit(f"{' '.join(map(str, command))} left with {process.returncode}:\n{talk.read()}")
        data.seek(0)
        return Measured(elapsed_s, peak_rss, peak_tree, data.read())


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """Every process below this one that is alive."""
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def resident(process: psutil.Process) -> int:
    """Resident memory in bytes; 0 when the process has gone."""
    try:
        return int(process.memory_info().rss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def classify_command(images: Path, model: Path | str, out: Path, *more: str) -> list[str]:
    """A quiet `cancernet classify` that writes a new table."""
    return [*CANCERNET, "classify", str(images), "--model", str(model), "--out", str(out), "--format", "quiet", *more]
