"""`cancernet classify` as a process of its own: how long it takes to start, and the memory of it and its workers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from cancernet_cli.core import interruption
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.options import ClassifyOptions, flag_name
from cancernet_cli.engine.bench.timing import core_seconds

SAMPLE_EVERY_S = 0.05
COMMAND = (sys.executable, "-m", "cancernet_cli.cli.app", "classify")


@dataclass(frozen=True)
class ProcessRun:
    """What a process took, its workers included.

    `peak_main_bytes`: the most resident memory that the main process had, as the kernel counts it. `peak_tree_bytes`:
    the most, of samples every 50 ms, of the proportional memory of it and its workers, in which a page that n processes
    share counts 1/n for each. Both None where the system does not tell (it takes Linux' /proc).
    """

    wall_s: float
    core_s: float
    peak_main_bytes: int | None
    peak_tree_bytes: int | None


def classify_process(
    inputs: Path, options: ClassifyOptions, *, environment: Mapping[str, str] | None = None
) -> ProcessRun:
    """Run `cancernet classify` over `inputs` and look on from outside.

    Args:
        environment: variables to set beside this process's own.

    Raises:
        InputError: the command failed; its own words are in the message.
    """
    command = [*COMMAND, str(inputs), *_flags(options), "--overwrite", "--format", "quiet"]
    with tempfile.TemporaryFile("w+") as talk:
        before = core_seconds()[1]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=talk, stderr=talk, env={**os.environ, **(environment or {})})
        try:
            main, tree = _peaks(process)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        wall_s = time.perf_counter() - started
        if process.returncode not in (0, 7):  # 7: done, and some files failed
            talk.seek(0)
            raise InputError(
                f"`cancernet classify` left with exit code {process.returncode}: {' '.join(talk.read().split())}",
                fix="mend what it complains of; the same command without bench shows it too",
            )
    return ProcessRun(wall_s, core_seconds()[1] - before, main or None, tree or None)


def _peaks(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    """The most memory of a process, and of it and its workers, until it ends; 0 where the system does not tell."""
    main = tree = 0
    while process.poll() is None:
        interruption.check()
        main = max(main, _number(process.pid, "status", "VmHWM"))
        tree = max(tree, sum(_number(pid, "smaps_rollup", "Pss") for pid in [process.pid, *_below(process.pid)]))
        time.sleep(SAMPLE_EVERY_S)
    return main, tree


def _below(pid: int) -> Iterator[int]:
    """Every process below this one that is alive."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = [int(word) for word in children.read_text("ascii").split()]
        except OSError:  # gone
            continue
        for child in found:
            yield child
            yield from _below(child)


def _number(pid: int, file: str, name: str) -> int:
    """A line of a file under /proc, in bytes; 0 when the process has gone or the system has no such file."""
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def _flags(options: ClassifyOptions) -> list[str]:
    """The flags that give these options, those with their default left away."""
    flags: list[str] = []
    for field in fields(options):
        value = getattr(options, field.name)
        if value != field.default and field.name != "overwrite":
            flags += [flag_name(field.name), str(value)]
    return flags
