"""Measure the utilisation of a GPU with `nvidia-smi`."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import torch

EVERY_MS = 100
PROGRAM = "nvidia-smi"


@dataclass
class GpuWatch:
    """Samples `nvidia-smi` while the block runs; there are no samples without a GPU or without the program.

    The driver reports the share of the last moments in which a kernel ran. `samples`: time by `time.perf_counter`, and
    utilisation in percent.
    """

    device: str
    samples: list[tuple[float, float]] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None
    _reader: threading.Thread | None = None

    def __enter__(self) -> GpuWatch:
        program = shutil.which(PROGRAM)
        if program is not None and self.device.startswith("cuda"):
            command = [
                program,
                f"--id={gpu_id(self.device)}",
                "--query-gpu=utilization.gpu",
                "--format=csv,noheader,nounits",
                f"--loop-ms={EVERY_MS}",
            ]
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._reader is not None:
            self._process.terminate()
            self._process.wait()
            self._reader.join()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                self.samples.append((time.perf_counter(), float(line)))
            except ValueError:  # "[N/A]": not supported by the device
                continue

    def between(self, first: float, last: float) -> dict[str, Any] | None:
        """Mean, minimum and number of the samples between two times; None if there are none."""
        found = [share for when, share in self.samples if first <= when <= last]
        if not found:
            return None
        return {"mean_percent": statistics.fmean(found), "least_percent": min(found), "samples": len(found)}


def gpu_id(device: str) -> str:
    """The driver's ID of a device of PyTorch, which may see only some of the devices."""
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"
