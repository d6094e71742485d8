"""Measure the parts of a run: each stage separately, the networks alone and the loader alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cancernet_cli.core import interruption
from cancernet_cli.core.events import Reporter, silent
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.images import BatchDecoder
from cancernet_cli.engine.bench.limits import (
    DecodeOnly,
    ModelOnly,
    batch_latencies,
    decode_only,
    flops_per_view,
    latency_ms,
    matrix_rate,
    model_only,
)
from cancernet_cli.engine.bench.sample import Sample, take_sample
from cancernet_cli.engine.bench.stages import (
    NETWORK_STAGES,
    STAGES,
    Costs,
    file_stages,
    network_stages,
    transfer_stages,
    write_stage,
)
from cancernet_cli.engine.bench.timing import Cost, Spread
from cancernet_cli.engine.classify.batches import files_per_batch
from cancernet_cli.engine.classify.job import Job
from cancernet_cli.inference.open import open_runner
from cancernet_cli.inference.pipeline import Pipeline, load_pipeline
from cancernet_cli.inference.runner import Runner

EAGER = "eager PyTorch, each stage separately"


@dataclass(frozen=True)
class Parts:
    """Result of `measure_parts`; `stages` and `limits` have the layout of the JSON record."""

    stages: list[dict[str, Any]]
    networks_by: str
    limits: dict[str, Any]
    latency_ms: dict[str, float]
    model: ModelOnly
    decode: DecodeOnly
    views_per_image: float
    open_s: float


def measure_parts(job: Job, files: Sequence[FoundFile], *, repeat: int, report: Reporter = silent) -> Parts:
    """Measure each part of a run separately.

    Args:
        files: every image of the run, in path order.

    Raises:
        InputError: no image is readable.
        ModelError, DeviceError: the networks cannot be loaded or run.
    """
    runtime, card = job.runtime, job.card
    max_pixels, shrink = job.options.max_pixels, job.options.jpeg_scale == "auto"
    sample = take_sample(files, card, batch_size=runtime.batch_size, max_pixels=max_pixels)
    on_cuda = runtime.device.type == "cuda"
    ready = sample.pixels.pin_memory() if on_cuda else sample.pixels

    decode = decode_only(
        files,
        BatchDecoder(card.input, max_pixels, shrink=shrink),
        files_per_batch=files_per_batch(card, runtime.batch_size),
        workers=runtime.workers,
        pin_memory=on_cuda,
        repeat=repeat,
    )
    interruption.check(fix="run the same command again")
    started = time.perf_counter()
    runner = open_runner(job.folder, card, runtime, int8=job.int8, files=len(files), report=report)
    open_s = time.perf_counter() - started
    model = model_only(runner, ready, repeat=repeat)
    latency = latency_ms(batch_latencies(runner, ready))
    interruption.check(fix="run the same command again")

    found = file_stages(sample, card, max_pixels=max_pixels, shrink=shrink, repeat=repeat)
    pipeline = load_pipeline(job.folder, card)
    flops = flops_per_view(pipeline, sample.pixels[:1])
    networks, networks_by = stage_costs(job, runner, pipeline, model, sample, repeat)
    found |= {name: [one * sample.views_per_image for one in each] for name, each in networks.items()}
    found["write"] = write_stage(sample, job, runner.start(sample.batch.pixels)(), repeat=repeat)
    return Parts(
        stages=_table(found, sample.views_per_image, by_cores=runtime.device.type == "cpu"),
        networks_by=networks_by,
        limits=_limits(job, model, decode, flops, sample.views_per_image),
        latency_ms=latency,
        model=model,
        decode=decode,
        views_per_image=sample.views_per_image,
        open_s=open_s,
    )


def stage_costs(
    job: Job, runner: Runner, pipeline: Pipeline, model: ModelOnly, sample: Sample, repeat: int
) -> tuple[Costs, str]:
    """Cost per view of each stage on the device, and how it was measured.

    Only eager PyTorch runs the stages one by one. Other runners are measured as a whole, split by a profile.
    """
    from cancernet_cli.inference.torch_runner import TorchRunner

    transfers = transfer_stages(sample.pixels, len(job.card.architecture.classes), job.runtime, repeat=repeat)
    if job.runtime.library == "openvino":
        from cancernet_cli.engine.bench.openvino_profile import openvino_shares
        from cancernet_cli.inference.openvino_model import openvino_model
        from cancernet_cli.inference.openvino_runner import HINTS

        network = job.int8.read() if job.int8 else openvino_model(job.folder, job.card)
        shares = openvino_shares(network, sample.pixels.numpy(), HINTS[job.runtime.precision])
        how = "OpenVINO as a whole, split by its own profile; combine is part of normalise"
        return _split(shares, model) | transfers, how
    eager = network_stages(pipeline, sample.pixels, job.runtime, repeat=repeat)
    if isinstance(runner, TorchRunner):
        return eager | transfers, EAGER
    walls = {name: Spread.of(one.wall_s for one in each).median for name, each in eager.items()}
    shares = {name: wall / sum(walls.values()) for name, wall in walls.items()}
    how = "the compiled networks as a whole, split in proportion to uncompiled PyTorch"
    return _split(shares, model) | transfers, how


def _split(shares: dict[str, float], model: ModelOnly) -> Costs:
    """The time of the networks per view, split by these shares."""
    rates = model.views_per_s
    return {
        name: [Cost(share / rate, share * model.core_s_per_view) for rate in (rates.max, rates.median, rates.min)]
        for name, share in shares.items()
    }


def _table(found: Costs, views_per_image: float, *, by_cores: bool) -> list[dict[str, Any]]:
    """One row per stage, in the layout of the JSON record.

    Args:
        found: costs per image. by_cores: compute shares from CPU time, for stages that use the same cores.
    """
    core_s = {name: Spread.of(one.core_s for one in each).median for name, each in found.items()}
    wall_s = {name: Spread.of(one.wall_s for one in each).median for name, each in found.items()}
    weights = core_s if by_cores else wall_s
    whole = sum(weights.values())
    rows: list[dict[str, Any]] = []
    for name in STAGES:
        row: dict[str, Any] = {"name": name, "ms": None, "core_ms": None, "ms_per_view": None, "share": None}
        if name in found:
            row["ms"] = asdict(Spread.of((one.wall_s for one in found[name]), 1e3))
            row["core_ms"] = core_s[name] * 1e3
            row["share"] = weights[name] / whole if whole else 0.0
            if name in NETWORK_STAGES:
                row["ms_per_view"] = wall_s[name] * 1e3 / views_per_image
        rows.append(row)
    return rows


def _limits(job: Job, model: ModelOnly, decode: DecodeOnly, flops: int, views: float) -> dict[str, Any]:
    rate = matrix_rate(job.runtime)
    bound = rate / (flops * views) if rate and flops else None
    images = Spread(*(one / views for one in (model.views_per_s.median, model.views_per_s.min, model.views_per_s.max)))
    return {
        "model_only": {
            "images_per_s": asdict(images),
            "views_per_s": asdict(model.views_per_s),
            "core_s_per_view": model.core_s_per_view,
        },
        "decode_only": {**asdict(decode), "workers": job.runtime.workers},
        "arithmetic": {
            "flops_per_view": flops,
            "matrix_flops_per_s": rate,
            "images_per_s": bound,
            "reached_by_networks": images.median / bound if bound else None,
        },
    }
