"""Pass results from a worker to the main process: tensors through shared memory, the rest pickled."""

from __future__ import annotations

import io
import mmap
import pickle
import sys
from typing import Any

import numpy as np

SLOT_BYTES = 64 * 1024**2  # address space; memory is taken only for what is written
_ALIGNED = 64


def new_slot() -> mmap.mmap | None:
    """Memory shared with processes that are forked later; None if there is none, which is slower.

    Anonymous, so that the size of /dev/shm, limits on files and descriptors do not matter, and nothing can be left
    behind.
    """
    try:
        return mmap.mmap(-1, SLOT_BYTES)
    except OSError:
        return None


def pack(result: Any, slot: mmap.mmap | None) -> bytes:
    """The result as bytes; its tensors are in the slot, except those that do not fit."""
    file = io.BytesIO()
    _Packer(file, slot).dump(result)
    return file.getvalue()


def unpack(packed: bytes, slot: mmap.mmap | None, *, pin_memory: bool = False) -> Any:
    """The result of `pack`, which needs the slot no longer.

    pin_memory: with its tensors in pinned memory; a result of another class than tuple has a method for that.
    """
    found = _Unpacker(io.BytesIO(packed), slot, copy=not pin_memory).load()
    return _pinned(found) if pin_memory else found


def _pinned(result: Any) -> Any:
    if isinstance(result, tuple):
        return tuple(map(_pinned, result))
    return result.pin_memory() if hasattr(result, "pin_memory") else result


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO, slot: mmap.mmap | None) -> None:
        super().__init__(file, protocol=5)
        self._slot, self._at = slot, 0
        self._torch = sys.modules.get("torch")  # not imported where only kinds of files are found out

    def persistent_id(self, found: Any) -> tuple[Any, ...] | None:
        if self._torch is None or type(found) is not self._torch.Tensor:
            return None
        array = found.numpy()
        if self._slot is None or self._at + array.nbytes > len(self._slot):
            return (None, array)
        at = self._at
        np.ndarray(array.shape, array.dtype, self._slot, at)[...] = array
        self._at += -(-array.nbytes // _ALIGNED) * _ALIGNED
        return (at, array.dtype.str, array.shape)


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, slot: mmap.mmap | None, *, copy: bool) -> None:
        super().__init__(file)
        self._slot, self._copy = slot, copy

    def persistent_load(self, where: tuple[Any, ...]) -> Any:
        import torch

        if where[0] is None:
            return torch.from_numpy(where[1])
        at, dtype, shape = where
        array: np.ndarray = np.ndarray(shape, np.dtype(dtype), self._slot, at)
        return torch.from_numpy(array.copy() if self._copy else array)
