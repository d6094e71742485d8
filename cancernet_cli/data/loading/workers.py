"""The processes that read and decode, started so that they neither hang nor act on a terminal's signals."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

import cv2
import torch
from torch.utils.data import DataLoader, Sampler

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Work(Protocol[T_co]):
    """What a worker does with an item."""

    def __getitem__(self, item: Any, /) -> T_co: ...


def start_workers(
    dataset: Work[T], items: Iterable[Any], workers: int, *, pin_memory: bool = False, ahead: int = 2
) -> Iterator[T]:
    """`dataset[item]` for each of the items, in their order; the workers start at once and read `items` lazily.

    Args:
        workers: how many processes; 0 does the work in this one.
        ahead: results that each worker has ready before they are asked for.
    """
    loader: DataLoader[T] = DataLoader(
        dataset,  # type: ignore[arg-type]  # anything with __getitem__ will do
        batch_size=None,
        sampler=_Lazy(items),
        num_workers=workers,
        worker_init_fn=_begin if workers else None,
        collate_fn=_as_it_is,  # without a batch size it gets one item, not a list
        pin_memory=pin_memory,
        prefetch_factor=ahead if workers else None,
    )
    # A fork copies what OpenCV knows of its threads, but not the threads: a worker would wait for them for ever. With
    # one thread it stops them, and the workers start with one as well.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    started = iter(loader)
    cv2.setNumThreads(threads)
    if workers and threading.current_thread() is threading.main_thread():
        # PyTorch's handler would raise wherever the main thread happens to be; without it a dead worker shows when
        # its batch is asked for.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return started


class _Lazy(Sampler[Any]):
    """A sampler over items that are not known beforehand."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)


def _as_it_is(made: Any) -> Any:
    return made


def _begin(index: int) -> None:
    # A terminal sends Ctrl-C to every process of the group: only the main one decides what to do about it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    if hasattr(os, "nice"):
        os.nice(5)  # the network's threads come first; decoding fills what they leave
