"""Run a command and measure its time, and its peak memory with all worker processes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cancernet_cli.engine.bench.process import memory_peaks

CANCERNET = (sys.executable, "-m", "cancernet_cli.cli.app")


@dataclass(frozen=True)
class Measured:
    """Time and memory of one process; for the two peaks see `engine.bench.process.ProcessRun`."""

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
        peak_rss, peak_tree = memory_peaks(process)
        elapsed_s = time.perf_counter() - started
        if process.returncode not in allowed:
            log.seek(0)
            raise SystemExit(f"{' '.join(map(str, command))} failed with exit code {process.returncode}:\n{log.read()}")
        data.seek(0)
        return Measured(elapsed_s, peak_rss, peak_tree, data.read())


def classify_command(images: Path, model: Path | str, out: Path, *more: str) -> list[str]:
    """A quiet `cancernet classify` command that writes a new table."""
    return [*CANCERNET, "classify", str(images), "--model", str(model), "--out", str(out), "--format", "quiet", *more]
