"""How busy a GPU is while something runs, as its driver counts it."""

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
    """Samples `nvidia-smi` for the length of a block; without a GPU or without the program there are none.

    The driver's figure is the share of the last moments in which a kernel ran. `samples`: when each came, by
    `time.perf_counter`, and the figure in percent.
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
            except ValueError:  # "[N/A]": a device that does not tell
                continue

    def between(self, first: float, last: float) -> dict[str, Any] | None:
        """Mean, least and count of the samples of a stretch of time; None where there are none."""
        found = [share for when, share in self.samples if first <= when <= last]
        if not found:
            return None
        return {"mean_percent": statistics.fmean(found), "least_percent": min(found), "samples": len(found)}


def gpu_id(device: str) -> str:
    """The name by which the driver knows a device of PyTorch's, which may see fewer of them."""
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"
