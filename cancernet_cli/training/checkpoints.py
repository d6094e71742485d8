"""The state of a training in a file, from which it resumes exactly."""

from __future__ import annotations

import io
import pickle
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.files import write_bytes

State = dict[str, Any]
FIX = "run the command that made it, choose another --out, or pass --overwrite to start from scratch"


@dataclass(frozen=True)
class CheckpointFile:
    """The checkpoint of one training; each `save` replaces the last one atomically.

    key: a digest of what the training depends on (options, data, initial weights, versions); a file with another key
        belongs to another training. replace: ignore a file with another key.
    """

    path: Path
    key: str
    replace: bool = False

    def save(self, state: State) -> None:
        """Write a dictionary of tensors, numbers, strings, lists and dictionaries.

        Raises:
            OutputError: it cannot be written; the last checkpoint is kept.
        """
        buffer = io.BytesIO()
        torch.save({"key": self.key, **state}, buffer)
        # Not durable: a power cut costs one epoch, and waiting for the disk costs seconds per epoch.
        write_bytes(self.path, buffer.getvalue(), durable=False)

    def read(self) -> State | None:
        """The last saved state, on the CPU; None if there is none. Reading never executes code from the file.

        Raises:
            OutputError: the file belongs to another training, or is damaged.
        """
        try:
            state: State = torch.load(self.path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            if self.replace:
                return None
            why = next(iter(str(error).splitlines()), "the file is truncated")
            raise OutputError(
                f"the checkpoint {self.path} cannot be read: {why}", fix=f"remove {self.path} to start from scratch"
            ) from None
        if state["key"] == self.key:
            return state
        if self.replace:
            return None
        raise OutputError(f"{self.path} belongs to a training with other options or data", fix=FIX)


def random_state() -> State:
    """The states of all global random generators: Python, NumPy, PyTorch and, if available, CUDA."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [str(name), torch.from_numpy(np.asarray(keys, np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: State) -> None:
    """Restore the states that `random_state` returned."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
