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

    `peak_rss_bytes` is the most resident memory that the main process ever had, as the kernel counts it.
    `peak_tree_bytes` is the highest of samples taken every 50 ms of the sum over it and its workers of their
    proportional memory, in which a page that n processes share counts 1/n for each.
    """

    elapsed_s: float
    peak_rss_bytes: int
    peak_tree_bytes: int
    stdout: str


def measured(command: Sequence[str | Path], *, allowed: Sequence[int] = (0,)) -> Measured:
    """Run a command to its end.

    Args:
        allowed: exit codes that are no failure.

    Raises:
        SystemExit: it failed; its own words are in the message.
    """
    with tempfile.TemporaryFile("w+") as data, tempfile.TemporaryFile("w+") as talk:
        started = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=data, stderr=talk)
        root = psutil.Process(process.pid)
        peak_rss = peak_tree = 0
        while process.poll() is None:
            peak_rss = max(peak_rss, highest_resident(root))
            peak_tree = max(peak_tree, sum(map(proportional, [root, *descendants(root)])))
            time.sleep(SAMPLE_EVERY_S)
        elapsed_s = time.perf_counter() - started
        if process.returncode not in allowed:
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


def highest_resident(process: psutil.Process) -> int:
    """The most resident memory that a process has had so far, in bytes; 0 when it has gone.

    The kernel's own high-water mark. `ru_maxrss` would not do: a child's starts with what its parent had at the fork.
    """
    try:
        status = Path(f"/proc/{process.pid}/status").read_text("utf-8")
        return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)
    except OSError:  # gone, or no Linux
        return proportional(process)


def proportional(process: psutil.Process) -> int:
    """Resident memory in bytes, shared pages divided by how many share them; 0 when the process has gone.

    Only Linux tells; elsewhere all of the resident memory counts.
    """
    try:
        found = process.memory_full_info()
        return int(getattr(found, "pss", found.rss))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def classify_command(images: Path, model: Path | str, out: Path, *more: str) -> list[str]:
    """A quiet `cancernet classify` that writes a new table."""
    return [*CANCERNET, "classify", str(images), "--model", str(model), "--out", str(out), "--format", "quiet", *more]
