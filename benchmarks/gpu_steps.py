"""The steps of a benchmark of a GPU, whose time is scarce: each only while enough of it is left."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

# Upper limit of a step's time on an H200 with 16 cores.
AT_LEAST_S = {"network": 60, "graphs": 40, "end to end": 60, "nvjpeg": 15}

Found = dict[str, Any]


class Steps:
    """Runs steps while time is left; `keep` receives all results after each step."""

    def __init__(self, limit_s: float, keep: Callable[[Found], object]) -> None:
        self.found: Found = {}
        self.failed: list[str] = []
        self._started = time.perf_counter()
        self._limit_s = limit_s
        self._keep = keep

    def __call__(self, name: str, kind: str, step: Callable[[], Found]) -> Found:
        """Run a step and record its result by name, or that it failed or was skipped because time ran out."""
        left_s = self._limit_s - (time.perf_counter() - self._started)
        if left_s < AT_LEAST_S[kind]:
            found: Found = {"skipped": f"{left_s:.0f} s of --limit-s left, but it may take {AT_LEAST_S[kind]} s"}
        else:
            print(f"{name} ({left_s:.0f} s left)", file=sys.stderr)
            began = time.perf_counter()
            try:
                found = step()
            except Exception as error:  # GPU time is scarce: keep the results of the other steps
                traceback.print_exc()
                found = {"failed": f"{type(error).__name__}: {error}"}
                self.failed.append(name)
            found["took_s"] = time.perf_counter() - began
        self.found[name] = found
        self._keep(self.found)
        return found
