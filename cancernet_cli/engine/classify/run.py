"""Classify files: discover, decode, segment, classify, write; resumable, one row per file."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from cancernet_cli.core import interruption
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Note, Reporter, StageAdvanced, StageFinished, StageStarted, Warn, silent
from cancernet_cli.core.files import output_error
from cancernet_cli.core.options import ClassifyOptions, flag_name
from cancernet_cli.core.records import RunResult
from cancernet_cli.data.discovery.discover import discover
from cancernet_cli.data.loading.images import load_batches
from cancernet_cli.engine.classify.batches import ImageSource, Source, outcomes
from cancernet_cli.engine.classify.finish import finish, from_finished, is_finished
from cancernet_cli.engine.classify.job import Job, prepare, with_int8
from cancernet_cli.engine.classify.worklist import Worklist
from cancernet_cli.inference.int8 import VIEWS, image_views, make_int8
from cancernet_cli.inference.malloc import give_memory_back
from cancernet_cli.inference.open import open_runner
from cancernet_cli.inference.runner import Runner
from cancernet_cli.outputs.tables.classified_tiles import slides_in
from cancernet_cli.outputs.tables.parts import BatchOutcome, PartWriter
from cancernet_cli.outputs.tables.predictions import part_origins, part_schema, table_schema
from cancernet_cli.outputs.tables.workspace import Workspace

STAGE = "classify"


@dataclass(frozen=True)
class Hooks:
    """Replaceable steps of a run, for measurements and tests.

    load_batches: as `data.loading.images.load_batches`. open_runner: as `inference.open.open_runner`. committed: called
    with each outcome before it is written.
    """

    load_batches: Callable[..., Iterator[Any]] = load_batches
    open_runner: Callable[..., Runner] = open_runner
    committed: Callable[[BatchOutcome], None] = lambda outcome: None


DEFAULT_HOOKS = Hooks()


def classify(
    inputs: str | Path | Sequence[str | Path],
    options: ClassifyOptions | None = None,
    report: Reporter = silent,
    hooks: Hooks = DEFAULT_HOOKS,
    **changes: Any,
) -> RunResult:
    """Classify every image and slide under `inputs` and write one row per file to `options.out`.

    Args:
        inputs: folders, files, glob patterns, manifests, or "-" for paths on standard input.
        options: default: the bundled model on the best device, writing to predictions.parquet.
        report: receives progress, notes and warnings (`core.events`).
        hooks: for measurements and tests.
        changes: options by name that override `options`: `classify("slides", out="preds.parquet")`.

    Returns:
        Counts, failures and metrics; files that failed raise no error here but are counted in `failed`.

    Raises:
        CancernetError: the run as a whole cannot be done; the subclass gives the reason, `fix` the remedy.
    """
    options = replace(options or ClassifyOptions(), **changes)
    started = time.monotonic()
    job = prepare(inputs, options)
    is_done = not options.overwrite and is_finished(job)
    workspace = Workspace(options.out)
    try:
        with closing(_list_files(job, workspace.folder, report)) as worklist:
            if job.runtime.precision == "int8" and job.int8 is None:
                job = with_int8(job, _make_int8(job, worklist, report))
            if is_done:
                result = _reuse(job, worklist, report, started)
            else:
                result = _resume(job, worklist, workspace, report, hooks, started)
    except (OSError, sqlite3.OperationalError) as error:
        workspace.close()
        raise output_error(options.out, error if isinstance(error, OSError) else OSError(str(error))) from error
    except BaseException:
        workspace.close()
        raise
    workspace.remove()
    if result.metrics is None and (options.metrics or options.labels not in ("auto", "none")):
        report(Warn("no file has a true label, so there are no metrics"))
    return replace(result, unlisted_folders=worklist.unlisted_folders)


def outlook(
    inputs: str | Path | Sequence[str | Path], options: ClassifyOptions, report: Reporter = silent
) -> dict[str, Any]:
    """What `classify` would do with the same arguments; nothing is decoded or written."""
    job = prepare(inputs, options)
    is_done = not options.overwrite and is_finished(job)
    with tempfile.TemporaryDirectory() as scratch, closing(_list_files(job, Path(scratch), report)) as worklist:
        return {
            "files": len(worklist),
            **{f"{kind}s": count for kind, count in worklist.kinds().items()},
            "endings": worklist.endings(),
            "model": job.card.name,
            "segmenter": job.card.segmentation.segmenter,
            "device": job.runtime.device_name,
            "runtime": job.runtime.library,
            "precision": job.runtime.precision,
            "batch_size": job.runtime.batch_size,
            "workers": job.runtime.workers,
            "out": str(options.out),
            "is_finished": is_done,
        }


def _list_files(job: Job, folder: Path, report: Reporter) -> Worklist:
    """Every file under the inputs, in a database in `folder`."""
    worklist = Worklist(folder / "files.sqlite")
    stage = "find files"
    report(StageStarted(stage))

    def unlisted() -> None:
        worklist.unlisted_folders += 1

    names = [one.text for one in job.inputs]
    files = discover(
        job.inputs,
        base=job.base,
        labels=job.options.labels,
        classes=job.card.architecture.classes,
        exclude=[sink.folder for sink in job.sinks],
        stdin=sys.stdin.buffer if "-" in names else None,
        kind=job.options.kind,
        on_problem=lambda message: report(Warn(message)),
        on_unlisted=unlisted,
    )
    for count in worklist.add(files):
        report(StageAdvanced(stage, count))
        interruption.check()
    report(StageFinished(stage))
    if not len(worklist):
        worklist.close()
        raise InputError(
            f"no image and no slide was found under {', '.join(names[:3])}",
            fix="give a folder with slides or with PNG, JPEG, TIFF, BMP or WebP files, or name the files themselves",
        )
    _warn_of_idle_sinks(job, worklist, report)
    return worklist


def _warn_of_idle_sinks(job: Job, worklist: Worklist, report: Reporter) -> None:
    """Warn of sinks that write nothing, because no file is of a kind that they write."""
    kinds = {kind for kind, count in worklist.kinds().items() if count}
    if "slide" in kinds and job.options.mask_regions is not None:
        kinds.add("tile")
    for sink in job.sinks:
        written = sink.entry.facts["kinds"]
        if kinds.isdisjoint(written):
            names = {"image": "images", "slide": "slides", "tile": "slides with --mask-regions"}
            wanted = " and ".join(names[kind] for kind in written)
            report(Warn(f"{flag_name(sink.name)} writes files for {wanted} only; there are none among the inputs"))


def _make_int8(job: Job, worklist: Worklist, report: Reporter) -> Path:
    """Quantize the model's networks, calibrated on images of this run and, if too few, on tiles of its slides."""
    kinds = worklist.kinds()
    views = image_views(worklist.sample(VIEWS, "image"), job.card, round(job.options.max_megapixels * 1e6))
    if kinds["slide"] and kinds["image"] < VIEWS:
        from cancernet_cli.engine.classify.slide_stream import tile_views  # scikit-image and OpenSlide

        views = chain(views, tile_views(worklist.sample(VIEWS, "slide"), job, -(-VIEWS // kinds["slide"])))
    return make_int8(job.folder, job.card, views, report=report)


def _reuse(job: Job, worklist: Worklist, report: Reporter, started: float) -> RunResult:
    """The result of a finished run; missing files of its slides are written from the tables."""
    result = from_finished(job, worklist, started)
    report(Note(f"{job.options.out} is already complete; no network runs (use --overwrite to start from scratch)"))
    if result.slides and any(sink.writes("slide") for sink in job.sinks):
        from cancernet_cli.engine.classify.rewrite_slide_files import rewrite_slide_files  # as in `_source`

        rewrite_slide_files(job, worklist, report)
    for sink in job.sinks:
        if not sink.folder.exists():
            report(Warn(f"{flag_name(sink.name)} was not written, because {job.options.out} is already complete"))
    return result


def _resume(
    job: Job, worklist: Worklist, workspace: Workspace, report: Reporter, hooks: Hooks, started: float
) -> RunResult:
    """Classify what the parts of an earlier, unfinished run do not contain, and finish the run."""
    workspace.adopt(job.parts_state, overwrite=job.options.overwrite)
    known = _use_parts(worklist, workspace, retry=True)
    reused = len(worklist) - worklist.count_pending()
    _classify_pending(job, worklist, workspace, report, hooks)
    _use_parts(worklist, workspace, known, retry=False)
    return finish(job, worklist, workspace, reused=reused, started=started)


def _use_parts(worklist: Worklist, workspace: Workspace, known: Set[Path] = frozenset(), *, retry: bool) -> set[Path]:
    """Mark the unchanged files in finished parts as done; delete parts that cannot be read.

    Args:
        known: parts of either table that are marked already.
        retry: leave files that could not be read pending.

    Returns:
        The parts that were marked.
    """

    def mark_rows(number: int, path: Path) -> None:
        rows = list(part_origins(path, retry=retry))
        worklist.mark_done((number, row, name, size, mtime) for row, name, size, mtime in rows)

    def mark_tiles(number: int, path: Path) -> None:
        worklist.mark_tiles(number, slides_in(path))

    marked = set()
    for parts, mark in ((workspace.parts(), mark_rows), (workspace.tile_parts(), mark_tiles)):
        for number, path in parts.items():
            if path in known:
                continue
            try:
                mark(number, path)
            except (OSError, pa.ArrowException):
                path.unlink()
                continue
            marked.add(path)
    return marked


def _classify_pending(job: Job, worklist: Worklist, workspace: Workspace, report: Reporter, hooks: Hooks) -> None:
    """Decode and classify pending files, writing parts."""
    runtime = job.runtime
    pending, slides_pending = worklist.count_pending(), worklist.count_pending("slide")
    if not pending:
        return
    schema = part_schema(table_schema(job.card.architecture.classes, job.state))
    source = _source(job, worklist, workspace, schema, report)
    # With a single batch of images a process costs more than it saves.
    workers = runtime.workers if slides_pending or pending > runtime.batch_size else 0
    # The workers start decoding while the networks are loaded.
    loaded = hooks.load_batches(source, source.decoder, workers=workers, pin_memory=runtime.device.type == "cuda")
    runner = hooks.open_runner(
        job.folder,
        job.card,
        runtime,
        int8=job.int8,
        want_mask=job.needs("mask"),
        files=None if slides_pending else len(worklist),  # a slide is as much work as thousands of images
        report=report,
    )
    report(StageStarted(STAGE, pending))
    done = 0
    tiles = (workspace.tile_part, source.tile_schema) if source.tile_schema is not None else None
    with PartWriter(workspace.part, schema, workspace.next_number(), tiles=tiles) as writer:
        for outcome in outcomes(source.batches(loaded), runner):
            if outcome.failures and job.options.strict:
                path, reason = outcome.failures[0]
                raise InputError(f"{path} failed: {reason}", fix="fix or remove the file, or run without --strict")
            hooks.committed(outcome)
            writer.put(outcome)
            done += outcome.files
            report(StageAdvanced(STAGE, outcome.files, len(outcome.failures)))
            if interruption.requested():
                break
    give_memory_back()
    source.finish()
    report(StageFinished(STAGE))
    interruption.check(f"{done:,} of {pending:,} files are done and kept")


def _source(job: Job, worklist: Worklist, workspace: Workspace, schema: pa.Schema, report: Reporter) -> Source:
    """The pending images, with the pending slides if there are any."""
    images = ImageSource(job, worklist.pending("image"), schema)
    if not worklist.count_pending("slide"):
        return images
    from cancernet_cli.engine.classify.slide_stream import SlideStream  # scikit-image and OpenSlide

    return SlideStream(job, worklist, workspace, images, report)
