"""Start DataLoader workers that neither hang nor react to the terminal's signals."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

import cv2
import torch
from torch.utils.data import DataLoader

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Work(Protocol[T_co]):
    """A dataset indexed by work items."""

    def __getitem__(self, item: Any, /) -> T_co: ...


def start_workers(
    dataset: Work[T], items: Iterable[Any], workers: int, *, pin_memory: bool = False, ahead: int = 2
) -> Iterator[T]:
    """`dataset[item]` for each item, in order; the workers start immediately and read `items` lazily.

    With 0 workers, this process does the work. Each worker prepares `ahead` results in advance. Pinned memory is for
    copies to a GPU.
    """
    loader: DataLoader[T] = DataLoader(
        dataset,  # type: ignore[arg-type]  # only needs __getitem__
        batch_size=None,
        sampler=items,
        num_workers=workers,
        worker_init_fn=_start_worker if workers else None,
        collate_fn=_identity,  # without a batch size it gets one item, not a list
        pin_memory=pin_memory,
        prefetch_factor=ahead if workers else None,
    )
    # A fork copies the state of OpenCV's thread pool but not its threads, and a worker would wait for them forever.
    # Setting one thread stops the pool, and the workers start with one as well.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    started = iter(loader)
    cv2.setNumThreads(threads)
    if workers and threading.current_thread() is threading.main_thread():
        # PyTorch's handler would raise wherever the main thread happens to be; without it, a dead worker is noticed
        # when its batch is due.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return started


def _identity(item: Any) -> Any:
    return item


def _start_worker(index: int) -> None:
    # A terminal sends Ctrl-C to every process of the group; only the main process handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    if hasattr(os, "nice"):
        os.nice(5)  # the network's threads have priority over decoding
