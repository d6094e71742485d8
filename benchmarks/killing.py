"""Kill a command, its process group or one of its workers, and see what is left behind."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

WHATS = ("main", "group", "worker")
PATIENCE_S = 5.0  # after which nothing of a killed run may be left
_TICK_S = 0.05
_MOST_S = 1800.0  # for a run of which a worker was killed
_SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Outcome:
    """What became of a command.

    killed: whether it was still running at the time. has_ended: whether it came to its own end. left: processes,
    temporary files and shared memory that were still there `PATIENCE_S` later.
    """

    killed: bool
    has_ended: bool
    left: list[str] = field(default_factory=list)


def run_and_kill(
    command: Sequence[str], seconds: float, what: str, scratch: Path, moments: random.Random, *, allowed: Sequence[int]
) -> Outcome:
    """Start a command in a separate session, and send SIGKILL after `seconds` to what is named.

    With `worker`, a child process dies, and the command has to come to its end regardless.

    Args:
        scratch: an empty folder for its temporary files. allowed: exit codes of a command that comes to its end.

    Raises:
        SystemExit: it failed, or hangs; the message has its output.
    """
    shared = _shared_memory()
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=log, env=environment, start_new_session=True
        )
        try:
            process.wait(seconds)
            killed = False
        except subprocess.TimeoutExpired:
            killed = _kill(process.pid, what, moments)
        if not killed or what == "worker":
            _finish(process, allowed, log)
        process.wait()
    left = _left(process.pid, scratch, shared)
    for path in scratch.iterdir():
        shutil.rmtree(path, ignore_errors=True)
    return Outcome(killed, not killed or what == "worker", left)


def _finish(process: subprocess.Popen[bytes], allowed: Sequence[int], log: IO[str]) -> None:
    try:
        process.wait(_MOST_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise SystemExit("it hangs after a worker was killed") from None
    if process.returncode not in allowed:
        log.seek(0)
        raise SystemExit(f"failed with exit code {process.returncode}:\n{log.read()}")


def _kill(main: int, what: str, moments: random.Random) -> bool:
    if what == "main":
        os.kill(main, signal.SIGKILL)
    elif what == "group":
        os.killpg(main, signal.SIGKILL)
    else:
        workers = [pid for pid in _session(main) if pid != main]
        if not workers:
            return False
        os.kill(moments.choice(workers), signal.SIGKILL)
    return True


def _left(session: int, scratch: Path, shared: set[str]) -> list[str]:
    """What is left of a run, after waiting for it to go."""
    end = time.monotonic() + PATIENCE_S
    while True:
        found = [f"process {pid}" for pid in _session(session)]
        found += [f"temporary {path.name}" for path in scratch.iterdir()]
        found += [f"shared memory {name}" for name in sorted(_shared_memory() - shared)]
        if not found or time.monotonic() > end:
            return found
        time.sleep(_TICK_S)


def _session(session: int) -> list[int]:
    """The processes of a session that have not ended."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            state, _, _, its_session, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(its_session) == session and state != "Z":
            found.append(int(folder.name))
    return found


def _shared_memory() -> set[str]:
    """Names of this user's shared memory."""
    if not _SHARED_MEMORY.is_dir():
        return set()
    return {path.name for path in _SHARED_MEMORY.iterdir() if _is_mine(path)}


def _is_mine(path: Path) -> bool:
    try:
        return path.stat().st_uid == os.getuid()
    except OSError:
        return False
