"""Run `cancernet classify` as a separate process and measure its time, and its memory with workers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cancernet_cli.core import interruption
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.options import ClassifyOptions, flag_name
from cancernet_cli.engine.bench.timing import core_seconds

SAMPLE_EVERY_S = 0.05
COMMAND = (sys.executable, "-m", "cancernet_cli.cli.app", "classify")


@dataclass(frozen=True)
class ProcessRun:
    """Time and memory of a process and its workers.

    peak_main_bytes: peak resident memory of the main process, as counted by the kernel. peak_tree_bytes: peak
    proportional memory (PSS) of the main process and its workers, sampled every 50 ms; a page shared by n processes
    counts as 1/n for each. Both are None on systems without /proc.
    """

    wall_s: float
    core_s: float
    peak_main_bytes: int | None
    peak_tree_bytes: int | None


def classify_process(
    inputs: Path, options: ClassifyOptions, *, environment: Mapping[str, str] | None = None
) -> ProcessRun:
    """Run `cancernet classify` on `inputs` and measure it.

    Args:
        environment: variables to set in addition to those of this process.

    Raises:
        InputError: the command failed; the message has its output.
    """
    command = [*COMMAND, str(inputs), *_flags(options), "--overwrite", "--format", "quiet"]
    with tempfile.TemporaryFile("w+") as log:
        before = core_seconds()[1]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(environment or {})})
        try:
            main, tree = memory_peaks(process)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        wall_s = time.perf_counter() - started
        if process.returncode not in (0, 7):  # 7: finished, but some files failed
            log.seek(0)
            raise InputError(
                f"`cancernet classify` failed with exit code {process.returncode}: {' '.join(log.read().split())}",
                fix="fix the reported error; `cancernet classify` with the same options shows it too",
            )
    return ProcessRun(wall_s, core_seconds()[1] - before, main or None, tree or None)


def memory_peaks(process: subprocess.Popen[Any]) -> tuple[int, int]:
    """Peak memory of a process, and of it with its workers, until it ends; 0 on systems without /proc."""
    # Not by psutil, another dependency: it has proportional memory on Linux only, and no high-water mark there.
    main = tree = 0
    while process.poll() is None:
        interruption.check()
        main = max(main, _number(process.pid, "status", "VmHWM"))
        tree = max(tree, sum(_number(pid, "smaps_rollup", "Pss") for pid in [process.pid, *_descendants(process.pid)]))
        time.sleep(SAMPLE_EVERY_S)
    return main, tree


def _descendants(pid: int) -> Iterator[int]:
    """IDs of all live descendants of a process."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:  # the process has ended
        return
    for thread in threads:
        try:
            found = [int(word) for word in (thread / "children").read_text("ascii").split()]
        except OSError:  # the thread has ended
            continue
        for child in found:
            yield child
            yield from _descendants(child)


def _number(pid: int, file: str, name: str) -> int:
    """A value in bytes of a file in /proc; 0 if the process has ended or the system has no such file."""
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def _flags(options: ClassifyOptions) -> list[str]:
    """The command-line flags for these options, without those at their defaults."""
    flags: list[str] = []
    for field in fields(options):
        value = getattr(options, field.name)
        if value != field.default and field.name != "overwrite":
            flags += [flag_name(field.name), str(value)]
    return flags
