"""A worker: a process that does one item of work after another, and ends with the process that started it."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from mmap import mmap
from multiprocessing.connection import Connection
from typing import Any

from cancernet_cli.core.errors import CancernetError
from cancernet_cli.data.loading.limits import lift_limits, no_memory, start_limits
from cancernet_cli.data.loading.transfer import pack

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG in <sys/prctl.h>
_STDERR = 2
_NICER = 5  # the network's threads have priority over decoding


def serve(
    work: Any,
    connection: Connection,
    slots: Sequence[mmap | None],
    parent: int,
    inherited: Sequence[Connection],
    words: int | None,
) -> None:
    """Receive items, each after a byte with the number of its slot, until the connection is closed.

    Sends ("step", number, seconds, `limits.starved_s`, bytes of memory) for each step of an item, and at the end
    ("done", packed result), ("memory", failure) if it took too much, ("refused", class, message, fix) for a
    CancernetError, or ("error", traceback).

    Args:
        inherited: the main process's ends of connections, which a fork copies. words: descriptor of the file for what
            libraries print to stderr; their last words before a crash say why. None leaves stderr as it is.
    """
    _end_with(parent)
    for other in inherited:
        other.close()
    _prepare()
    if words is not None:
        os.dup2(words, _STDERR)
    start_limits(lambda *step: connection.send(("step", *step)))
    try:
        while True:
            message = connection.recv_bytes()
            if words is not None and os.lseek(words, 0, os.SEEK_CUR):
                os.ftruncate(words, os.lseek(words, 0, os.SEEK_SET))
            connection.send(_answer(work, pickle.loads(message[1:]), slots[message[0]] if slots else None))
    except (EOFError, OSError):  # the main process has closed the connection, or died
        return


def _answer(work: Any, item: Any, slot: mmap | None) -> tuple[str, *tuple[Any, ...]]:
    try:
        try:
            made = work[item]
        finally:
            lift_limits()
        return ("done", pack(made, slot))
    except MemoryError:
        return ("memory", no_memory())
    except CancernetError as error:
        return ("refused", type(error), error.message, error.fix)
    except Exception:
        return ("error", traceback.format_exc())


def _prepare() -> None:
    # A terminal sends Ctrl-C to every process of the group; only the main process handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if hasattr(os, "nice"):
        os.nice(_NICER)


def _end_with(parent: int) -> None:
    """End this process when its parent ends, whatever ends it: even while a decoder holds the interpreter, on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    elif hasattr(os, "getppid"):
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if hasattr(os, "getppid") and os.getppid() != parent:  # it has ended already
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
