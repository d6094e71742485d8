"""One call per file in a worker: whatever it does, the other files have their results."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.records import Failure, Unreadable
from cancernet_cli.data.loading.each import in_workers
from cancernet_cli.data.loading.limits import FileLimits

LIMITS = FileLimits(timeout_s=1.0)


def act(item: str) -> str:
    """Does what the item says, in a worker."""
    if item == "unreadable":
        raise Unreadable(Failure("open", "Truncated", "the file ends early"))
    if item == "raises":
        raise IndexError("no such tag")
    if item == "memory":
        raise MemoryError
    if item == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "bad_alloc":
        os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n")
        os.kill(os.getpid(), signal.SIGABRT)
    if item == "warns":
        os.write(2, b"libjpeg: out of memory, or so it seems\n")
    if item == "hangs":
        time.sleep(600)
    if item == "ours":
        raise InputError("the list is wrong", fix="correct it")
    return f"{item} of {os.getpid()}"


@pytest.mark.parametrize("workers", [0, 2])
def test_every_item_has_its_result_or_the_reason_in_order(workers: int) -> None:
    items = ["a", "unreadable", "raises", "dies", "hangs", "b"]
    a, unreadable, raises, dies, hangs, b = in_workers(act, items, LIMITS, workers=workers)
    assert unreadable == Failure("open", "Truncated", "the file ends early")
    assert raises == Failure("decode", "IndexError", "no such tag")
    assert isinstance(dies, Failure)
    assert dies.error == "WorkerDied"
    assert hangs == Failure("decode", "TimedOut", "it took more than 1 s; see --file-timeout")
    for name, found in (("a", a), ("b", b)):
        assert isinstance(found, str)
        assert found.startswith(f"{name} of ")
        assert found != f"{name} of {os.getpid()}"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces a limit")
def test_an_allocation_that_is_refused_in_a_library_is_told_with_the_limit() -> None:
    memory, bad_alloc, _, dies = in_workers(act, ["memory", "bad_alloc", "warns", "dies"], LIMITS)
    expected = Failure("decode", "MemoryError", "not enough memory for its pixels; the limit for one file is 2.1 GB")
    assert memory == bad_alloc == expected
    assert isinstance(dies, Failure)
    assert dies.error == "WorkerDied"  # what an earlier file printed is not its last word


def test_an_error_for_the_user_ends_it_with_its_message_and_remedy() -> None:
    found = in_workers(act, ["a", "ours", "b"], LIMITS)
    next(found)
    with pytest.raises(InputError, match="the list is wrong; correct it") as caught:
        next(found)
    assert (caught.value.message, caught.value.fix) == ("the list is wrong", "correct it")


def test_waiting_can_be_interrupted() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(in_workers(act, ["hangs"], FileLimits(100), meanwhile=stop))
    assert time.monotonic() - started < 10
