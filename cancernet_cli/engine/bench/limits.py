"""Measure the limits of a run: the networks alone, the loader alone, and the arithmetic of the device."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.images import BatchDecoder, chunks
from cancernet_cli.data.loading.load import load_batches
from cancernet_cli.engine.bench.timing import Spread, core_seconds, costs, synchronise
from cancernet_cli.inference.pipeline import Pipeline
from cancernet_cli.inference.runner import Outputs, Runner
from cancernet_cli.inference.runtime import PRECISIONS, Runtime

MEASURE_S = 1.0
LATENCY_S = 2.0
FEWEST_LATENCIES, MOST_LATENCIES = 5, 100
MATRIX_SIDE = {"cpu": 2048, "cuda": 8192, "mps": 4096}


@dataclass(frozen=True)
class ModelOnly:
    """Rate of the networks on decoded batches, and CPU time per view."""

    views_per_s: Spread
    core_s_per_view: float


def model_only(runner: Runner, pixels: Tensor, *, repeat: int) -> ModelOnly:
    """Measure the networks alone for a second each time, with as many batches in flight as in a run.

    Args:
        pixels: a full batch, `[V, H, W, 3]` uint8.
    """
    in_flight = 1 + runner.in_flight
    for _ in range(in_flight):  # warm-up: the first batches include compilation and tuning
        runner.start(pixels)()
    rates, cores = [], []
    for _ in range(repeat):
        started, core = time.perf_counter(), time.process_time()
        waiting: deque[Callable[[], Outputs]] = deque()
        batches = 0
        while batches < 2 or time.perf_counter() - started < MEASURE_S:
            waiting.append(runner.start(pixels))
            batches += 1
            if len(waiting) >= in_flight:
                waiting.popleft()()
        for wait in waiting:
            wait()
        views = batches * len(pixels)
        rates.append(views / (time.perf_counter() - started))
        cores.append((time.process_time() - core) / views)
    return ModelOnly(Spread.of(rates), Spread.of(cores).median)


def batch_latencies(runner: Runner, pixels: Tensor) -> list[float]:
    """Seconds from the start of a batch to its outputs, one batch at a time."""
    found: list[float] = []
    began = time.perf_counter()
    while len(found) < FEWEST_LATENCIES or (len(found) < MOST_LATENCIES and time.perf_counter() - began < LATENCY_S):
        started = time.perf_counter()
        runner.start(pixels)()
        found.append(time.perf_counter() - started)
    return found


def latency_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds, and the number of batches."""
    p50, p95 = (float(p) * 1e3 for p in np.percentile(np.asarray(seconds), (50, 95)))
    return {"p50": p50, "p95": p95, "batches": len(seconds)}


@dataclass(frozen=True)
class DecodeOnly:
    """Rate of the loader without networks, and CPU time per image."""

    images_per_s: Spread
    core_s_per_image: float


def decode_only(
    files: Sequence[FoundFile],
    decoder: BatchDecoder,
    *,
    files_per_batch: int,
    workers: int,
    pin_memory: bool,
    repeat: int,
) -> DecodeOnly:
    """Measure the loader alone with the workers of a run, excluding their start if there are enough batches."""
    rates, cores = [], []
    for _ in range(repeat):
        before = sum(core_seconds())
        started = time.perf_counter()
        batches = load_batches(chunks(files, files_per_batch), decoder, workers=workers, pin_memory=pin_memory)
        first = len(next(batches).files)
        after_first = time.perf_counter()
        rest = sum(len(batch.files) for batch in batches)
        ended = time.perf_counter()
        rates.append(rest / (ended - after_first) if rest > 2 * first else (first + rest) / (ended - started))
        cores.append((sum(core_seconds()) - before) / len(files))
    return DecodeOnly(Spread.of(rates), Spread.of(cores).median)


def flops_per_view(pipeline: Pipeline, view: Tensor) -> int:
    """Floating-point operations of the networks per view `[1, H, W, 3]`, counted by PyTorch (2 per multiply-add)."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        pipeline(view.to(next(itertools.chain(pipeline.parameters(), pipeline.buffers())).device))
    return int(counter.get_total_flops())


def matrix_rate(runtime: Runtime) -> float | None:
    """Operations per second of a large matrix product on the device, in the runtime's precision; None for int8.

    The fastest of several, as an estimate of the peak rate.
    """
    dtype = PRECISIONS.get(runtime.precision)
    if dtype is None:  # PyTorch has no int8 matrix product on CPU
        return None
    side = MATRIX_SIDE[runtime.device.type]
    one, other = (torch.randn(side, side, device=runtime.device, dtype=dtype) for _ in range(2))
    synchronise(runtime.device)
    fastest = min(found.wall_s for found in costs(lambda: one @ other, 5, runtime.device))
    return 2 * side**3 / fastest
