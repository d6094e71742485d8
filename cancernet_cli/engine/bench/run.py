"""Measure this machine: the whole way from files to rows, each stage of it, and what bounds it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cancernet_cli.core import interruption
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, Warn, silent
from cancernet_cli.core.files import write_bytes
from cancernet_cli.core.options import BenchOptions, ClassifyOptions
from cancernet_cli.core.records import FoundFile
from cancernet_cli.core.system import available_cores
from cancernet_cli.engine.bench.bottleneck import Bounds, verdict
from cancernet_cli.engine.bench.breakdown import Parts, measure_parts
from cancernet_cli.engine.bench.compare import SCHEMA, compare, read_measurement
from cancernet_cli.engine.bench.end_to_end import WholeRun, whole_run
from cancernet_cli.engine.bench.machine import call_facts, machine_facts, version_facts
from cancernet_cli.engine.bench.process import classify_process
from cancernet_cli.engine.bench.sample import found_files
from cancernet_cli.engine.bench.sweep import best, sweep
from cancernet_cli.engine.bench.synthetic_images import write_fields
from cancernet_cli.engine.bench.timing import Spread
from cancernet_cli.engine.classify.job import Job, prepare
from cancernet_cli.inference.advice import Advice, keep_advice

# On a GPU as many as networks are compiled for; 16 workers have 32 batches of 64 ready before they are open.
FILES, GPU_FILES = 64, 24_576
BUSY_LOAD = 0.5  # of the cores: other programs then change what is measured


def bench(options: BenchOptions, report: Reporter = silent) -> dict[str, Any]:
    """Measure as `options` say, write what they ask for, and give everything that was found.

    Returns:
        What docs/bench.md describes; times in seconds or milliseconds as their names say, rates in images a second.

    Raises:
        CancernetError: the model, the device, the images or an earlier measurement is not there or does not fit.
    """
    old = read_measurement(options.compare) if options.compare else None
    machine = machine_facts()
    facts = {"bench": SCHEMA, "call": call_facts(), "machine": machine, "versions": version_facts()}
    load = machine["load"]
    if load is not None and load > BUSY_LOAD * available_cores():
        report(Warn(f"the machine is busy (load {load:.1f} on {available_cores()} cores): figures will be too low"))
    with tempfile.TemporaryDirectory(prefix="cancernet-bench-") as temporary:
        scratch = Path(temporary)
        asked = _classify_options(options, scratch)
        job = prepare(str(scratch), asked)  # a wrong model or device shows before images are made
        inputs = options.input or _generated(options, job, scratch, report)
        found = facts | _measured(inputs, asked, options, scratch, report)
    if old is not None:
        found["comparison"] = compare(found, old)
    if options.json:
        write_bytes(options.json, (json.dumps(found, indent=2, default=str) + "\n").encode())
    if options.plot:
        from cancernet_cli.outputs.plots import plot_bench

        plot_bench(found, options.plot)
    return found


def _measured(
    inputs: Path, asked: ClassifyOptions, options: BenchOptions, scratch: Path, report: Reporter
) -> dict[str, Any]:
    processes = _processes(inputs, asked, options, scratch, report)
    runs = _whole_runs(inputs, asked, options, report)
    job = prepare(str(inputs), asked)  # again: the runs may have made an int8 network
    files = found_files(inputs, job.card, report)
    with _stage("measure stages", report):
        parts = measure_parts(job, files, repeat=options.repeat, report=report)
    sweeps = _sweeps(inputs, asked, options, report)
    bounds = _bounds(runs, parts, job, files)
    return {
        "settings": _settings(job, options, files, parts),
        "whole": _whole(runs, bounds),
        "process": processes | {"open_s": parts.open_s},
        "stages": parts.stages,
        "networks_by": parts.networks_by,
        "latency_ms": parts.latency_ms,
        "limits": parts.limits | {"possible_images_per_s": bounds.possible_per_s},
        "busy": {
            "device": bounds.whole_per_s / bounds.model_per_s,
            "loader": bounds.whole_per_s / bounds.decode_per_s,
        },
        "sweeps": sweeps,
        "advice": _advise(sweeps, job, options, report),
        "verdict": verdict(bounds),
    }


def _classify_options(options: BenchOptions, scratch: Path) -> ClassifyOptions:
    """The run that is measured, as `cancernet classify` would be asked for it, without metrics and slides."""
    model = options.model
    if options.backbone:
        from cancernet_cli.engine.bench.random_model import (
            random_model,  # networks are built with timm, which is slow to load
        )

        model = str(random_model(scratch / "models" / options.backbone.replace("/", "_"), options.backbone))
    return ClassifyOptions(
        out=scratch / "tables" / "whole.parquet",
        model=model,
        segmenter=options.segmenter,
        device=options.device,
        precision=options.precision,
        runtime=options.runtime,
        batch_size=options.batch_size,
        workers=options.workers,
        jpeg_scale=options.jpeg_scale,
        labels="none",
        kind="image",
    )


def _generated(options: BenchOptions, job: Job, scratch: Path, report: Reporter) -> Path:
    count = (
        options.files if isinstance(options.files, int) else FILES if job.runtime.device.type == "cpu" else GPU_FILES
    )
    with _stage("generate images", report):
        write_fields(scratch / "images", count, *options.size_px, options.image_format)
    return scratch / "images"


def _processes(
    inputs: Path, asked: ClassifyOptions, options: BenchOptions, scratch: Path, report: Reporter
) -> dict[str, Any]:
    """The command as a process of its own: over all files, for its memory, and over one, for its start."""
    with _stage("run the command", report, 2 + options.cold):
        card_files = found_files(inputs, prepare(str(inputs), asked).card)
        one = scratch / "one"
        one.mkdir()
        source = Path(_name(card_files[0]))
        shutil.copy(source, one / source.name)
        cold = None
        if options.cold:
            empty = str(scratch / "cold")
            names = ("CANCERNET_CACHE", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
            cold = classify_process(one, asked, environment=dict.fromkeys(names, empty)).wall_s
            report(StageAdvanced("run the command", 1))
        whole = classify_process(inputs, asked)  # fills the caches, too
        report(StageAdvanced("run the command", 1))
        start = classify_process(one, asked).wall_s
        report(StageAdvanced("run the command", 1))
    return {
        **asdict(whole),
        "start_s": start,
        "cold_start_s": cold,
        "convert_s": cold - start if cold is not None else None,
    }


def _name(file: FoundFile) -> str:
    return file.location.decode("utf-8", "surrogateescape")


def _whole_runs(inputs: Path, asked: ClassifyOptions, options: BenchOptions, report: Reporter) -> list[WholeRun]:
    with _stage("whole way", report, options.warm_up + options.repeat):
        runs = []
        for _ in range(options.warm_up + options.repeat):
            runs.append(whole_run(inputs, asked, report))
            report(StageAdvanced("whole way", 1))
            interruption.check(fix="give the same command again")
    return runs[options.warm_up :]


def _sweeps(
    inputs: Path, asked: ClassifyOptions, options: BenchOptions, report: Reporter
) -> dict[str, list[dict[str, Any]]]:
    """Each sweep that was asked for; the best of one holds for those after it, where nothing was asked for."""
    wanted: dict[str, tuple[Any, ...]] = {
        "precision": options.precisions,
        "workers": options.worker_counts,
        "batch_size": options.batch_sizes,
    }
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, values in wanted.items():
        if values:
            rows[name] = sweep(name, values, inputs, asked, repeat=options.repeat, report=report)
            found = best(name, rows[name])
            if found is not None and getattr(options, name) == "auto":
                asked = replace(asked, **{name: found})
    return rows


def _advise(
    sweeps: dict[str, list[dict[str, Any]]], job: Job, options: BenchOptions, report: Reporter
) -> dict[str, Any] | None:
    """The best of the sweeps; kept for later runs, unless it was of random weights or of what auto would not take."""
    found = {name: best(name, rows) for name, rows in sweeps.items()}
    if not any(value is not None for value in found.values()):
        return None
    kept = None
    if options.advise and not options.backbone and options.precision == options.runtime == "auto":
        try:
            kept = keep_advice(Advice(**found), job.card, job.runtime.device, available_cores())
        except OSError as error:
            report(Warn(f"the advice could not be kept ({error.strerror}); set CANCERNET_CACHE to another folder"))
    return {**found, "kept_in": str(kept) if kept else None}


def _bounds(runs: list[WholeRun], parts: Parts, job: Job, files: list[FoundFile]) -> Bounds:
    return Bounds(
        whole_per_s=Spread.of(run.images_per_s for run in runs).median,
        decode_per_s=parts.decode.images_per_s.median,
        model_per_s=parts.model.views_per_s.median / parts.views_per_image,
        decode_core_s=parts.decode.core_s_per_image,
        model_core_s=parts.model.core_s_per_view * parts.views_per_image,
        cores=available_cores(),
        workers=job.runtime.workers,
        on_cpu=job.runtime.device.type == "cpu",
        image_format="jpeg" if _name(files[0]).lower().endswith((".jpg", ".jpeg")) else "",
        quicker=_quicker(job),
    )


def _quicker(job: Job) -> str:
    """A precision that may be quicker than the one in use."""
    if job.runtime.device.type == "cuda":
        return "fp16" if job.runtime.precision == "fp32" else ""
    if job.runtime.library == "openvino" and job.runtime.precision != "int8":
        from cancernet_cli.inference.int8 import is_all_exact

        return "" if is_all_exact(job.card) else "int8"
    return ""


def _whole(runs: list[WholeRun], bounds: Bounds) -> dict[str, Any]:
    cores = bounds.cores
    cores_s = [(run.main_core_s + run.workers_core_s) for run in runs]
    apart_s = (bounds.decode_core_s + bounds.model_core_s) / cores
    return {
        "images_per_s": asdict(Spread.of(run.images_per_s for run in runs)),
        "wall_s": asdict(Spread.of(run.wall_s for run in runs)),
        "first_row_s": asdict(Spread.of(run.first_row_s for run in runs)),
        "main_core_s": Spread.of(run.main_core_s for run in runs).median,
        "workers_core_s": Spread.of(run.workers_core_s for run in runs).median,
        "wall_over_cores": Spread.of(
            run.wall_s / max(core_s / cores, 1e-9) for run, core_s in zip(runs, cores_s, strict=True)
        ).median,
        "wall_over_apart": 1 / bounds.whole_per_s / max(apart_s, 1e-12) if bounds.on_cpu else None,
        "waiting_for_batches": Spread.of(run.waiting_for_batches for run in runs).median,
        "waiting_for_answers": Spread.of(run.waiting_for_answers for run in runs).median,
        "failed": runs[0].failed,
        "device_peak_bytes": max((run.device_peak_bytes or 0 for run in runs), default=0) or None,
    }


def _settings(job: Job, options: BenchOptions, files: list[FoundFile], parts: Parts) -> dict[str, Any]:
    size = "x".join(map(str, options.size_px))
    policy = job.card.input
    return {
        "model": (options.backbone and f"{options.backbone} (random weights)") or job.card.name,
        "weights_sha256": job.card.weights.sha256,
        "segmenter": job.card.segmentation.segmenter,
        "device": job.runtime.device_name,
        "runtime": job.runtime.library,
        "precision": job.runtime.precision,
        "batch_size": job.runtime.batch_size,
        "workers": job.runtime.workers,
        "images": str(options.input) if options.input else f"generated {size} {options.image_format}",
        "jpeg_scale": options.jpeg_scale,
        "files": len(files),
        "view": f"{policy.view} {policy.width_px}x{policy.height_px}",
        "views_per_image": parts.views_per_image,
        "repeat": options.repeat,
        "warm_up": options.warm_up,
    }


@contextmanager
def _stage(name: str, report: Reporter, total: int | None = None) -> Iterator[None]:
    """A stretch of work that the block reports the progress of; without `total` it is one step."""
    interruption.check(fix="give the same command again")
    report(StageStarted(name, total or 1, "steps"))
    yield
    if total is None:
        report(StageAdvanced(name, 1))
    report(StageFinished(name))
