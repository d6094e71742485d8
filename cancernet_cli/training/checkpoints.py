"""The state of a training run in a file: enough to go on as if nothing had happened."""

from __future__ import annotations

import io
import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cancernet_cli.core.errors import OutputError

State = dict[str, Any]
FIX = "give the command that made it, choose another --out, or pass --overwrite to start again"


@dataclass(frozen=True)
class CheckpointFile:
    """One training's checkpoint; each `save` replaces the last one whole or not at all.

    key: what the training depends on (options, data, first weights, versions), as a digest; a file with another key is
        another training's. write: puts bytes under a name, atomically. replace: start again where the key differs.
    """

    path: Path
    key: str
    write: Callable[[Path, bytes], None]
    replace: bool = False

    def save(self, state: State) -> None:
        """Write tensors, numbers, texts, lists and dictionaries of them.

        Raises:
            OutputError: from `write`; the last checkpoint stays.
        """
        buffer = io.BytesIO()
        torch.save({"key": self.key, **state}, buffer)
        self.write(self.path, buffer.getvalue())

    def read(self) -> State | None:
        """What was saved last, on the CPU; None where there is none. Reading never runs code from the file.

        Raises:
            OutputError: the file is another training's, or damaged.
        """
        try:
            state: State = torch.load(self.path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            if self.replace:
                return None
            why = next(iter(str(error).splitlines()), "it ends too soon")
            raise OutputError(
                f"the checkpoint {self.path} cannot be read: {why}", fix=f"remove {self.path} to start again"
            ) from None
        if state["key"] == self.key:
            return state
        if self.replace:
            return None
        raise OutputError(f"{self.path} is the checkpoint of a training with other options or data", fix=FIX)


def random_state() -> State:
    """The state of every global random generator: Python's, NumPy's, PyTorch's, and CUDA's where it is used."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [str(name), torch.from_numpy(np.asarray(keys, np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: State) -> None:
    """Put back what `random_state` gave."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
