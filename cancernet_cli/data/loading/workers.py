"""Do work in processes that may crash, hang or be killed: each of these costs one item, never the run."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import mmap
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Protocol, TypeVar

from cancernet_cli.core.errors import DeviceError
from cancernet_cli.core.records import Failure
from cancernet_cli.data.loading.limits import WHOLE, is_out_of_memory, no_memory, starved_s
from cancernet_cli.data.loading.transfer import new_slot, unpack
from cancernet_cli.data.loading.worker import serve

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

DIED = Failure("decode", "WorkerDied", "the process that read it crashed, was killed or ran out of memory")
_TICK_S = 0.5
_SMALL_BYTES = 1 << 15  # two such items fit into a connection's buffer, so that sending never waits
_STARTS = 3
_LAST_BYTES = 1 << 17
_KILL_S = 5.0  # longer only where a file system hangs


class Work(Protocol[T_co]):
    """Anything indexed by work items."""

    def __getitem__(self, item: Any, /) -> T_co: ...


class WorkerLost(Exception):
    """A worker crashed, or was stopped because a step took too long.

    item: what it was doing. step: the number of the step it was at, `WHOLE` if unknown. failure: the reason. is_late:
    whether it took too long.
    """

    def __init__(self, item: Any, step: int, failure: Failure, *, is_late: bool) -> None:
        super().__init__(str(failure))
        self.item, self.step, self.failure, self.is_late = item, step, failure, is_late


@dataclass(eq=False)
class _Task:
    item: Any
    packed: bytes = b""
    is_done: bool = False
    result: Any = None  # or an exception to raise


class Workers(Generic[T]):
    """Iterate over `work[item]` for each item, in order; see `start_workers`.

    Where an item lost its worker, `next` raises WorkerLost; the iteration can continue.
    """

    def __init__(
        self,
        work: Work[T],
        items: Iterable[Any],
        workers: int,
        *,
        pin_memory: bool,
        ahead: int,
        meanwhile: Callable[[], None] | None,
    ) -> None:
        self._work, self._items, self._meanwhile = work, iter(items), meanwhile
        self._pin_memory, self._ahead = pin_memory, ahead if workers else 1
        self._tasks: deque[_Task] = deque()  # in order, until their results are taken
        self._unsent: deque[_Task] = deque()
        self._all: list[_Process] = []
        self._spare: _Process | None = None
        self._looked = time.monotonic()
        self._stop = weakref.finalize(self, _stop, self._all, os.getpid())
        self._wanted = max(1, workers)
        for _ in range(self._wanted):
            self._start()
        self._fill()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        self._fill()
        if not self._tasks:
            self.close()
            raise StopIteration
        while not self._tasks[0].is_done:
            self._watch()
            self._send()
        return self._result(self._tasks.popleft())

    def alone(self, item: Any) -> T:
        """The result of one more item, done at once by a worker with nothing else to do; may raise WorkerLost."""
        task = _Task(item, pickle.dumps(item))
        self._spare = self._spare or self._start(spare=True)
        self._spare.send(task)
        while not task.is_done:
            self._watch()
        return self._result(task)

    def close(self) -> None:
        """End the workers."""
        self._stop()

    def _result(self, task: _Task) -> T:
        if isinstance(task.result, Exception):
            raise task.result
        found: T = task.result
        return found

    def _start(self, *, spare: bool = False) -> _Process:
        others = [one.connection for one in self._all]
        try:
            started = _Process(self._work, self._ahead, others, spare)
        except OSError as error:
            running = len(self._all)
            self.close()
            raise DeviceError(
                f"worker process {running + 1} of {self._wanted} cannot be started: {error.strerror or error}",
                fix=f"use --workers {max(0, running - 1)}, close other programs, or raise the limits of open files, "
                "processes and memory (ulimit -n, -u, -v)",
            ) from None
        self._all.append(started)
        return started

    def _fill(self) -> None:
        """Take as many items as the workers can have ahead."""
        while len(self._tasks) < self._wanted * self._ahead:
            try:
                item = next(self._items)
            except StopIteration:
                break
            task = _Task(item, pickle.dumps(item))
            self._tasks.append(task)
            self._unsent.append(task)
            self._send()

    def _send(self) -> None:
        """Give waiting items to the workers with the least to do."""
        tries = 0
        while self._unsent:
            process = min((one for one in self._all if not one.is_spare), key=lambda one: len(one.tasks))
            task = self._unsent[0]
            room = 1 if len(task.packed) > _SMALL_BYTES else self._ahead
            if len(process.tasks) >= room:
                return
            if process.send(task):
                self._unsent.popleft()
                continue
            if process.tasks:
                return  # it has died at one of these, which `_watch` will notice
            tries += 1
            if tries > _STARTS:
                self.close()
                raise DeviceError("worker processes end as soon as they start", fix="free some memory, then run again")
            self._replace(process)

    def _watch(self) -> None:
        """Wait for a worker with something to say, for half a second at most; stop those that take too long."""
        if self._meanwhile is not None:
            self._meanwhile()
        busy = {one.connection: one for one in self._all if one.tasks}
        for connection in wait(list(busy), _TICK_S):
            self._receive(busy[connection])  # type: ignore[index]
        now = time.monotonic()
        # While the main process computes or is suspended, nobody may be blamed for taking long.
        passed, self._looked = min(now - self._looked, 2 * _TICK_S), now
        for process in list(self._all):
            process.age_s += passed
            if process.tasks and process.is_late() and not process.connection.poll():
                late = Failure("decode", "TimedOut", f"it took more than {process.allowed_s:g} s; see --file-timeout")
                self._lose(process, late, is_late=True)

    def _receive(self, process: _Process) -> None:
        try:
            kind, *told = process.connection.recv()
        except (EOFError, OSError):
            self._lose(process, process.last_words(), is_late=False)
            return
        process.age_s = 0.0
        if kind == "step":
            process.step, process.allowed_s, process.starved_s, process.allowed_bytes = told
            return
        process.step, process.allowed_s = WHOLE, float("inf")
        slot, task = process.tasks.popleft()
        process.free.append(slot)
        task.is_done = True
        if kind == "done":
            task.result = unpack(told[0], process.slot(slot), pin_memory=self._pin_memory)
        elif kind == "memory":
            task.result = WorkerLost(task.item, WHOLE, told[0], is_late=False)
        elif kind == "refused":
            refusal, message, fix = told
            task.result = refusal(message, fix=fix)
        else:
            task.result = RuntimeError(f"a worker failed:\n{told[0]}")

    def _lose(self, process: _Process, why: Failure, *, is_late: bool) -> None:
        """The item that a worker was at is lost; those that it had not begun are given to others."""
        _, task = process.tasks.popleft()
        task.result, task.is_done = WorkerLost(task.item, process.step, why, is_late=is_late), True
        self._replace(process)

    def _replace(self, process: _Process) -> None:
        process.stop()
        self._all.remove(process)
        self._unsent.extendleft(task for _, task in reversed(process.tasks))
        if process.is_spare:
            self._spare = None
        else:
            self._start()


class _Process:
    """A worker as the main process sees it.

    tasks: what it was given, with the slot for the result. free: slots. step, allowed_s, age_s, starved_s,
    allowed_bytes: the step it is at, how long that may take, how long it has taken, how long the process had waited for
    a core before, and how much memory it may take.
    """

    def __init__(self, work: Any, ahead: int, others: list[Connection], spare: bool) -> None:
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
        forks = context.get_start_method() == "fork"
        self._slots = [new_slot() for _ in range(ahead)] if forks else []
        self.connection, theirs = multiprocessing.Pipe()
        self._words = os.memfd_create("words") if forks and hasattr(os, "memfd_create") else None
        inherited = [*others, self.connection] if forks else []
        self._process: BaseProcess = context.Process(
            target=serve, args=(work, theirs, self._slots, os.getpid(), inherited, self._words), daemon=True
        )
        try:
            with _one_opencv_thread():
                self._process.start()
        except OSError:
            self._close()
            raise
        finally:
            theirs.close()
        self.is_spare = spare
        self.tasks: deque[tuple[int, _Task]] = deque()
        self.free = deque(range(ahead))
        self.step, self.allowed_s, self.age_s, self.starved_s = WHOLE, float("inf"), 0.0, 0.0
        self.allowed_bytes = 0

    def is_late(self) -> bool:
        """Whether its step has taken longer than it may, not counting the time without a core."""
        if self.age_s <= self.allowed_s:
            return False
        return self.age_s - (starved_s(self._process.pid or "self") - self.starved_s) > self.allowed_s

    def slot(self, number: int) -> mmap | None:
        """The memory in which it leaves the tensors of a result."""
        return self._slots[number] if self._slots else None

    def send(self, task: _Task) -> bool:
        """Give it a task; False if it is dead."""
        slot = self.free[0]
        try:
            self.connection.send_bytes(bytes([slot]) + task.packed)
        except OSError:
            return False
        self.tasks.append((self.free.popleft(), task))
        return True

    def last_words(self) -> Failure:
        """Why it has died, as far as what it printed tells."""
        said = b"" if self._words is None else os.pread(self._words, _LAST_BYTES, 0)
        is_memory = is_out_of_memory(said.decode(errors="replace"))
        return no_memory(allowed_bytes=self.allowed_bytes) if is_memory else DIED

    def stop(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.join(_KILL_S)
        self._close()

    def _close(self) -> None:
        self.connection.close()
        if self._words is not None:
            os.close(self._words)
            self._words = None


def _stop(processes: list[_Process], owner: int) -> None:
    if os.getpid() == owner:  # a forked worker has a copy, and must not end the others
        for process in processes:
            process.stop()
        processes.clear()


class _Here(Workers[T]):
    """The same without processes, where this one may not have any."""

    def __init__(self, work: Work[T], items: Iterable[Any]) -> None:
        self._work, self._items = work, iter(items)

    def __next__(self) -> T:
        return self._work[next(self._items)]

    def alone(self, item: Any) -> T:
        return self._work[item]

    def close(self) -> None:
        pass


def start_workers(
    work: Work[T],
    items: Iterable[Any],
    workers: int,
    *,
    pin_memory: bool = False,
    ahead: int = 2,
    meanwhile: Callable[[], None] | None = None,
) -> Workers[T]:
    """`work[item]` for each item, in order; the workers start immediately and read `items` lazily.

    With 0 workers, one does an item at a time while this process waits. Each worker prepares `ahead` results in
    advance. Pinned memory is for copies to a GPU. Deadlines and memory limits are those that the work sets by
    `limits.FileLimits.begin`. `meanwhile` is called at least every half second while waiting, and may raise.

    Raises:
        DeviceError: a process cannot be started; also while iterating.
        CancernetError: while iterating: the work raised it.
        WorkerLost: while iterating: a worker died at an item. The iteration can continue.
    """
    if multiprocessing.current_process().daemon:  # a worker of someone's pool
        return _Here(work, items)
    return Workers(work, items, workers, pin_memory=pin_memory, ahead=ahead, meanwhile=meanwhile)


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """A fork copies the state of OpenCV's thread pool but not its threads, and a worker would wait for them forever.

    Setting one thread stops the pool, and the worker starts with one as well.
    """
    if "cv2" not in sys.modules:
        yield
        return
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
