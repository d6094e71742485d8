"""Run a command and measure its time, and its peak memory with all worker processes."""

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
    """Time and memory of one process.

    `peak_rss_bytes`: peak resident memory of the main process, as counted by the kernel. `peak_tree_bytes`: peak
    proportional memory (PSS) of the main process and its workers, sampled every 50 ms; a page shared by n processes
    counts as 1/n for each.
    """

    elapsed_s: float
    peak_rss_bytes: int
    peak_tree_bytes: int
    stdout: str


def measured(command: Sequence[str | Path], *, allowed: Sequence[int] = (0,)) -> Measured:
    """Run a command to completion.

    Args:
        allowed: exit codes that are not failures.

    Raises:
        SystemExit: it failed; the message has its output.
    """
    with tempfile.TemporaryFile("w+") as data, tempfile.TemporaryFile("w+") as log:
        started = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=data, stderr=log)
        root = psutil.Process(process.pid)
        peak_rss = peak_tree = 0
        while process.poll() is None:
            peak_rss = max(peak_rss, highest_resident(root))
            peak_tree = max(peak_tree, sum(map(proportional, [root, *descendants(root)])))
            time.sleep(SAMPLE_EVERY_S)
        elapsed_s = time.perf_counter() - started
        if process.returncode not in allowed:
            log.seek(0)
            raise SystemExit(f"{' '.join(map(str, command))} failed with exit code {process.returncode}:\n{log.read()}")
        data.seek(0)
        return Measured(elapsed_s, peak_rss, peak_tree, data.read())


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """All live descendants of a process."""
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def highest_resident(process: psutil.Process) -> int:
    """Peak resident memory of a process so far in bytes; 0 if it has ended.

    The kernel's high-water mark. `ru_maxrss` does not work: for a child it starts at the parent's memory at the fork.
    """
    try:
        status = Path(f"/proc/{process.pid}/status").read_text("utf-8")
        return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)
    except OSError:  # the process has ended, or not on Linux
        return proportional(process)


def proportional(process: psutil.Process) -> int:
    """Resident memory in bytes, with shared pages divided by the number of processes; 0 if the process has ended.

    Only available on Linux; elsewhere all resident memory counts.
    """
    try:
        found = process.memory_full_info()
        return int(getattr(found, "pss", found.rss))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def classify_command(images: Path, model: Path | str, out: Path, *more: str) -> list[str]:
    """A quiet `cancernet classify` command that writes a new table."""
    return [*CANCERNET, "classify", str(images), "--model", str(model), "--out", str(out), "--format", "quiet", *more]
