"""Measure the speed of `classify` on this machine: end to end, stage by stage, and what limits it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from cancernet_cli.core import interruption
from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, Warn, silent
from cancernet_cli.core.files import write_bytes
from cancernet_cli.core.machine.system import available_cores
from cancernet_cli.core.options import BenchOptions, ClassifyOptions, InferenceOptions
from cancernet_cli.core.options.base import chosen
from cancernet_cli.core.results import Result, table_of
from cancernet_cli.engine.bench.breakdown import measure_parts
from cancernet_cli.engine.bench.compare import SCHEMA, compare, read_measurement
from cancernet_cli.engine.bench.end_to_end import WholeRun, whole_run
from cancernet_cli.engine.bench.process import classify_process
from cancernet_cli.engine.bench.record import figures
from cancernet_cli.engine.bench.sample import find_images, path_of
from cancernet_cli.engine.bench.sweep import best, sweep
from cancernet_cli.engine.bench.synthetic_images import write_fields
from cancernet_cli.engine.classify.job import Job, prepare
from cancernet_cli.engine.provenance import call_facts, machine_facts, version_facts
from cancernet_cli.inference.advice import Advice, keep_advice

# On a GPU, enough files for the networks to be compiled; 16 workers decode 32 batches of 64 before they are ready.
FILES, GPU_FILES = 64, 24_576
BUSY_LOAD = 0.5  # load per core above which other programs distort the measurement
RETRY = "run the same command again"


class BenchResult(Result, dict[str, Any]):
    """The record of a measurement (docs/bench.md); its table has one row per stage."""

    def table(self) -> pa.Table:
        """The stages, one row each; times in milliseconds are the medians."""
        return table_of([_flat(stage) for stage in self["stages"]])

    def _facts(self) -> dict[str, Any]:
        whole, settings = self["whole"], self["settings"]
        rate = whole["images_per_s"]["median"]
        names = ("model", "device", "runtime", "precision", "batch_size", "workers", "files")
        return {"images_per_s": rate, "verdict": self["verdict"], **{name: settings[name] for name in names}}


def bench(options: BenchOptions | None = None, report: Reporter = silent, **changes: Any) -> BenchResult:
    """Measure, and write the files that the options ask for.

    Args:
        options: Defaults to the bundled model on generated images.
        report: Called with progress, notes and warnings (`core.events`).
        changes: Options by name that override `options`, as in `bench(input="slides", repeat=5)`.

    Returns:
        The record documented in docs/bench.md; times are in seconds or milliseconds as their names state, rates in
        images per second.

    Raises:
        CancernetError: the model, device, images or earlier measurement do not exist or do not fit.
    """
    options = chosen(BenchOptions, options, changes)
    old = read_measurement(options.compare) if options.compare else None
    machine = machine_facts()
    record = {"bench": SCHEMA, "call": call_facts(), "machine": machine, "versions": version_facts()}
    load = machine["load"]
    if load is not None and load > BUSY_LOAD * available_cores():
        report(Warn(f"the machine is busy (load {load:.1f} on {available_cores()} cores): rates will be too low"))
    with tempfile.TemporaryDirectory(prefix="cancernet-bench-") as temporary:
        scratch = Path(temporary)
        asked = classify_options(options, scratch)
        job = prepare(str(scratch), asked)  # fails on a wrong model or device before any image is generated
        inputs = options.input or _generated(options, job, scratch, report)
        record |= _measured(inputs, asked, options, scratch, report)
    if old is not None:
        record["comparison"] = compare(record, old)
    if options.json:
        write_bytes(options.json, (json.dumps(record, indent=2, default=str) + "\n").encode())
    if options.plot:
        from cancernet_cli.outputs.plots import plot_bench

        plot_bench(record, options.plot)
    return BenchResult(record)


def _flat(stage: dict[str, Any]) -> dict[str, Any]:
    """A stage with the median of each measure that was repeated."""
    return {
        name: value["median"] if isinstance(value, dict) and "median" in value else value
        for name, value in stage.items()
        if not isinstance(value, dict) or "median" in value
    }


def classify_options(options: BenchOptions, scratch: Path) -> ClassifyOptions:
    """Options of the measured run: every option shared with `cancernet classify`; no labels and no slides."""
    model = options.model
    if options.backbone:
        from cancernet_cli.engine.bench.random_model import random_model  # imports timm, which is slow

        model = str(random_model(scratch / "models" / options.backbone.replace("/", "_"), options.backbone))
    shared = {field.name: getattr(options, field.name) for field in fields(InferenceOptions)}
    table = scratch / "tables" / "end_to_end.parquet"
    return ClassifyOptions(**shared | {"model": model, "out": table, "labels": "none", "kind": "image"})


def _measured(
    inputs: Path, asked: ClassifyOptions, options: BenchOptions, scratch: Path, report: Reporter
) -> dict[str, Any]:
    process = _processes(inputs, asked, options, scratch, report)
    runs = _whole_runs(inputs, asked, options, report)
    job = prepare(str(inputs), asked)  # again, since the runs may have made an int8 network
    files = find_images(inputs, job.card, report)
    with _stage("measure stages", report):
        parts = measure_parts(job, files, repeat=options.repeat, report=report)
    sweeps = _sweeps(inputs, asked, options, report)
    return {
        **figures(job, options, files, runs, parts),
        "process": process | {"open_s": parts.open_s},
        "sweeps": sweeps,
        "advice": _advise(sweeps, job, options, report),
    }


def _generated(options: BenchOptions, job: Job, scratch: Path, report: Reporter) -> Path:
    auto = FILES if job.runtime.device.type == "cpu" else GPU_FILES
    count = options.files if isinstance(options.files, int) else auto
    with _stage("generate images", report):
        write_fields(scratch / "images", count, *options.size_px, options.image_format)
    return scratch / "images"


def _processes(
    inputs: Path, asked: ClassifyOptions, options: BenchOptions, scratch: Path, report: Reporter
) -> dict[str, Any]:
    """The command as a separate process: on all files for its memory, and on one file for its start-up time."""
    name = "run the command"
    with _stage(name, report, 2 + options.cold):
        source = path_of(find_images(inputs, prepare(str(inputs), asked).card)[0])
        one = scratch / "one"
        one.mkdir()
        shutil.copy(source, one / source.name)
        cold = None
        if options.cold:
            caches = ("CANCERNET_CACHE", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
            cold = classify_process(one, asked, environment=dict.fromkeys(caches, str(scratch / "cold"))).wall_s
            report(StageAdvanced(name, 1))
        whole = classify_process(inputs, asked)  # also fills the caches
        report(StageAdvanced(name, 1))
        start = classify_process(one, asked).wall_s
        report(StageAdvanced(name, 1))
    return {
        **asdict(whole),
        "start_s": start,
        "cold_start_s": cold,
        "convert_s": cold - start if cold is not None else None,
    }


def _whole_runs(inputs: Path, asked: ClassifyOptions, options: BenchOptions, report: Reporter) -> list[WholeRun]:
    with _stage("end to end", report, options.warm_up + options.repeat):
        runs = []
        for _ in range(options.warm_up + options.repeat):
            runs.append(whole_run(inputs, asked, report))
            report(StageAdvanced("end to end", 1))
            interruption.check(fix=RETRY)
    return runs[options.warm_up :]


def _sweeps(
    inputs: Path, asked: ClassifyOptions, options: BenchOptions, report: Reporter
) -> dict[str, list[dict[str, Any]]]:
    """Each requested sweep; later sweeps use the best value of earlier ones unless the option was set."""
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
    """The best values of the sweeps; saved unless weights are random or the precision or runtime is not `auto`."""
    found = {name: best(name, rows) for name, rows in sweeps.items()}
    if not any(value is not None for value in found.values()):
        return None
    kept = None
    if options.advise and not options.backbone and options.precision == options.runtime == "auto":
        try:
            kept = keep_advice(Advice(**found), job.card, job.runtime.device, available_cores())
        except OutputError as error:
            report(Warn(f"could not save the best settings: {error.message}; set CANCERNET_CACHE to another folder"))
    return {**found, "kept_in": str(kept) if kept else None}


@contextmanager
def _stage(name: str, report: Reporter, total: int | None = None) -> Iterator[None]:
    """Report a stage of `total` steps, which the block advances; without `total` it is one step."""
    interruption.check(fix=RETRY)
    report(StageStarted(name, total or 1, "steps"))
    yield
    if total is None:
        report(StageAdvanced(name, 1))
    report(StageFinished(name))
