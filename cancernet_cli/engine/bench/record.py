"""The record of a measurement: its figures and settings as `cancernet bench --json` writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cancernet_cli.core.machine.system import available_cores
from cancernet_cli.core.options import BenchOptions
from cancernet_cli.core.records import FoundFile
from cancernet_cli.engine.bench.bottleneck import Bounds, verdict
from cancernet_cli.engine.bench.breakdown import Parts
from cancernet_cli.engine.bench.end_to_end import WholeRun
from cancernet_cli.engine.bench.sample import path_of
from cancernet_cli.engine.bench.timing import Spread
from cancernet_cli.engine.classify.job import Job


def figures(
    job: Job, options: BenchOptions, files: Sequence[FoundFile], runs: Sequence[WholeRun], parts: Parts
) -> dict[str, Any]:
    """Figures and settings of a measurement, as documented in docs/bench.md.

    Args:
        runs: the end-to-end runs. parts: the same run taken apart.
    """
    bounds = _bounds(runs, parts, job, files)
    return {
        "settings": _settings(job, options, files, parts),
        "whole": _whole(runs, bounds),
        "stages": parts.stages,
        "networks_by": parts.networks_by,
        "latency_ms": parts.latency_ms,
        "limits": parts.limits | {"possible_images_per_s": bounds.possible_per_s},
        "busy": {
            "device": bounds.whole_per_s / bounds.model_per_s,
            "loader": bounds.whole_per_s / bounds.decode_per_s,
        },
        "verdict": verdict(bounds),
    }


def _bounds(runs: Sequence[WholeRun], parts: Parts, job: Job, files: Sequence[FoundFile]) -> Bounds:
    return Bounds(
        whole_per_s=_median(runs, "images_per_s"),
        decode_per_s=parts.decode.images_per_s.median,
        model_per_s=parts.model.views_per_s.median / parts.views_per_image,
        decode_core_s=parts.decode.core_s_per_image,
        model_core_s=parts.model.core_s_per_view * parts.views_per_image,
        cores=available_cores(),
        workers=job.runtime.workers,
        on_cpu=job.runtime.device.type == "cpu",
        image_format="jpeg" if path_of(files[0]).suffix.lower() in (".jpg", ".jpeg") else "",
        faster_precision=_faster_precision(job),
    )


def _faster_precision(job: Job) -> str:
    """A precision that is not in use and may be faster, or ""."""
    if job.runtime.device.type == "cuda":
        return "fp16" if job.runtime.precision == "fp32" else ""
    if job.runtime.library == "openvino" and job.runtime.precision != "int8":
        from cancernet_cli.inference.int8 import is_all_exact

        return "" if is_all_exact(job.card) else "int8"
    return ""


def _whole(runs: Sequence[WholeRun], bounds: Bounds) -> dict[str, Any]:
    apart_s = (bounds.decode_core_s + bounds.model_core_s) / bounds.cores
    return {
        **{name: asdict(_spread(runs, name)) for name in ("images_per_s", "wall_s", "first_row_s")},
        "main_core_s": _median(runs, "main_core_s"),
        "workers_core_s": _median(runs, "workers_core_s"),
        "wall_over_cores": Spread.of(
            run.wall_s / max((run.main_core_s + run.workers_core_s) / bounds.cores, 1e-9) for run in runs
        ).median,
        "wall_over_apart": 1 / bounds.whole_per_s / max(apart_s, 1e-12) if bounds.on_cpu else None,
        "waiting_for_batches": _median(runs, "waiting_for_batches"),
        "waiting_for_answers": _median(runs, "waiting_for_answers"),
        "failed": runs[0].failed,
        "device_peak_bytes": max((run.device_peak_bytes or 0 for run in runs), default=0) or None,
    }


def _spread(runs: Sequence[WholeRun], name: str) -> Spread:
    return Spread.of(getattr(run, name) for run in runs)


def _median(runs: Sequence[WholeRun], name: str) -> float:
    return _spread(runs, name).median


def _settings(job: Job, options: BenchOptions, files: Sequence[FoundFile], parts: Parts) -> dict[str, Any]:
    size = "x".join(map(str, options.size_px))
    policy = job.card.input
    return {
        "model": (options.backbone and f"{options.backbone} (random weights)") or job.card.name,
        "weights_sha256": job.card.weights.sha256,
        "segmenter": job.card.segmentation.segmenter,
        **job.runtime.settings,
        "images": str(options.input) if options.input else f"generated {size} {options.image_format}",
        "jpeg_scale": options.jpeg_scale,
        "files": len(files),
        "view": f"{policy.view} {policy.width_px}x{policy.height_px}",
        "views_per_image": parts.views_per_image,
        "repeat": options.repeat,
        "warm_up": options.warm_up,
    }
